package segura

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

func oneOf[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// Words of a success, words that are none of its words, and what may stand between two.
var (
	objects  = []string{"Api secret", "API SECRET", "api\tsecret", "ApiSecret", "api-secret"}
	ownWords = []string{"the", "has", "BEEN", "was", "Successfully", "5", "already", "activated", "Deactivated"}
	foreign  = []string{
		"not", "can", "is", "being", "be", "until", "after", "approval", "pending", "will", "never", "no", "não", "foi", "activate", "active", "inactive",
		"re-activated", "reactivated", "un-activated", "activatedd", "activated?", "activated;", "(activated)", "аctivated", "activ\u00adated", "activated\u200b",
		"password", "secrets", "api-secrets", "apisecrets", "api", "6", "55", "05", "5.5x", "has't", "been\x00", "1005", "1005x", "<b>", "&", "'", "…", "-", "/",
	}
	gaps = []string{" ", "  ", "\n", "\u00a0", ". ", ", ", "! ", ": ", " «", "» ", ` " `}
)

// message returns a text of such words, and the outcome that it tells; none if any word
// is foreign, or one that it needs is missing.
func message(random *rand.Rand, action apisecret.Action) (text string, told apisecret.Outcome) {
	var named, stated, strange, already bool
	for n := range 1 + random.IntN(7) {
		if n > 0 {
			text += oneOf(random, gaps...)
		}
		word := oneOf(random, ownWords...)
		switch kind := random.IntN(20); {
		case kind < 7:
			word, named = oneOf(random, objects...), true
		case kind < 10:
			word = stateWord(action)
		case kind == 10:
			word, strange = oneOf(random, foreign...), true
		}
		text += word
		already = already || word == "already"
		state := strings.EqualFold(word, "activated") || strings.EqualFold(word, "deactivated")
		stated = stated || strings.EqualFold(word, stateWord(action))
		strange = strange || state && !strings.EqualFold(word, stateWord(action))
	}
	switch {
	case strange || !named || !stated:
		return text, ""
	case already:
		return text, action.Unchanged()
	}
	return text, action.Changed()
}

// Values that are set, and values that are not.
var (
	setFlags   = []any{true, 1, "true", "1", "invalid", []any{0}, map[string]any{"code": 0}, "yes", -1, 0.5}
	unsetFlags = []any{nil, false, 0, "", "false", "0", " null ", []any{}, map[string]any{}, "[]", "{}", 0.0, "False"}
	contraries = []string{"1005: Api secret not found", "2001 something", "was not done", "Não foi possível", "isn't", "falha: failed", "no"}
	harmless   = []string{"", " ", "x", "1005", "2026-11-21", "ok", "done: 1005", "12345: x", "nothingness"}
)

// envelope returns a reply that carries the message of which told is the outcome, and
// the outcome that the reply as a whole tells.
func envelope(random *rand.Rand, action apisecret.Action, text string, told apisecret.Outcome) (status int, body []byte, _ apisecret.Outcome) {
	inner, outer, whole := map[string]any{}, map[string]any{}, told != ""
	rarely := func() bool { return random.IntN(25) == 0 }
	spoilt := func(by bool) bool { whole = whole && !by; return by }

	if status = 200; spoilt(rarely()) {
		status = oneOf(random, 201, 202, 204, 206, 302, 400, 403, 404, 500)
	}
	name := oneOf(random, "message", "Message", "mensagem")
	inner[name] = text
	if name == "mensagem" && random.IntN(2) == 0 {
		inner["message"] = oneOf[any](random, nil, "", " \n", 5, []any{text})
	}
	for _, status := range []struct {
		of   map[string]any
		name string
	}{{inner, "status"}, {outer, "code"}} {
		switch {
		case spoilt(rarely()):
			status.of[status.name] = oneOf[any](random, 0, 201, "202", 400, "fine", true, 200.5, []any{200})
		case random.IntN(3) > 0:
			status.of[status.name] = oneOf[any](random, 200, "200", 200.0, " 200 ", nil)
		}
	}
	for _, o := range []map[string]any{inner, outer} {
		for _, name := range []string{"error", "erro", "errors", "exception"} {
			switch {
			case spoilt(rarely() && rarely()):
				o[name] = oneOf(random, setFlags...)
			case random.IntN(3) == 0:
				o[name] = oneOf(random, unsetFlags...)
			}
		}
		switch {
		case spoilt(rarely()):
			o["success"] = oneOf[any](random, false, 0, "false", "", []any{})
		case random.IntN(4) == 0:
			o["success"] = oneOf[any](random, true, 1, "true", nil)
		}
		switch {
		case spoilt(rarely()):
			o[oneOf(random, "detail", "error_description")] = oneOf(random, append(contraries, stateWord(opposite(action)))...)
		case random.IntN(3) == 0:
			o["detail"] = oneOf(random, harmless...)
		}
		o[oneOf(random, "error_code", "cod_erro", "tenant", "response_time")] = oneOf[any](random, 0, 1005, "default", nil)
	}
	if !spoilt(rarely()) {
		outer["response"] = inner
	} else {
		outer = oneOf(random, inner, map[string]any{"Response": inner}, map[string]any{"response": []any{inner}}, map[string]any{"data": inner})
	}
	body, _ = json.Marshal(outer) // maps of texts and numbers
	if spoilt(rarely()) {
		body = oneOf(random, body[:len(body)-1], append(body, body...), append([]byte("Warning: x\n"), body...), []byte("["+string(body)+"]"), []byte(text))
	}
	if !whole {
		told = ""
	}
	return status, body, told
}

func opposite(action apisecret.Action) apisecret.Action {
	if action == apisecret.Enable {
		return apisecret.Disable
	}
	return apisecret.Enable
}

// Of replies that are made of a success's words and of others, of fields that say so
// and of others: a success is read if and only if there is nothing else in it.
func FuzzReadReply_words(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, seed*7919)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		random := rand.New(rand.NewPCG(a, b)) //nolint:gosec // G404: to be repeated, not to be unguessable.
		action := oneOf(random, apisecret.Enable, apisecret.Disable)
		text, told := message(random, action)
		status, body, want := envelope(random, action, text, told)

		got := readReply(action, status, body)

		if want == "" {
			want = apisecret.Failed
		}
		if got.outcome != want {
			t.Fatalf("%s, status %d, %s: got %+v, want %s", action, status, body, got, want)
		}
	})
}
