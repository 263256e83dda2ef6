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
	for range 1 + random.IntN(7) {
		word := oneOf(random, ownWords...)
		switch kind := random.IntN(20); {
		case kind < 7:
			word, named = oneOf(random, objects...), true
		case kind < 10:
			word = stateWord(action)
		case kind == 10:
			word, strange = oneOf(random, foreign...), true
		}
		text += oneOf(random, gaps...) + word
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

// writer writes replies, and knows whether anything in one speaks against a success.
type writer struct {
	*rand.Rand
	spoilt bool
}

// spoils decides, rarely for it, whether what is written next speaks against a success.
func (w *writer) spoils() bool {
	if w.IntN(25) != 0 {
		return false
	}
	w.spoilt = true
	return true
}

// envelope writes a reply that carries the text as its message.
func (w *writer) envelope(action apisecret.Action, text string) (status int, body []byte) {
	if status = 200; w.spoils() {
		status = oneOf(w.Rand, 201, 202, 204, 206, 302, 400, 403, 404, 500)
	}
	inner, outer := map[string]any{}, map[string]any{}
	name := oneOf(w.Rand, "message", "Message", "mensagem")
	inner[name] = text
	if name == "mensagem" && w.IntN(2) == 0 {
		inner["message"] = oneOf[any](w.Rand, nil, "", " \n", 5, []any{text})
	}
	w.status(inner, "status")
	w.status(outer, "code")
	w.claims(inner, action)
	w.claims(outer, action)
	outer["response"] = inner
	if w.spoils() {
		outer = oneOf(w.Rand, inner, map[string]any{"Response": inner}, map[string]any{"response": []any{inner}}, map[string]any{"data": inner})
	}
	body, _ = json.Marshal(outer) // maps of texts and numbers
	if w.spoils() {
		body = oneOf(w.Rand, body[:len(body)-1], append(body, body...), append([]byte("Warning: x\n"), body...), append(body, "\nWarning: x"...), []byte("["+string(body)+"]"), []byte(text))
	}
	return status, body
}

func (w *writer) status(o map[string]any, name string) {
	switch {
	case w.spoils():
		o[name] = oneOf[any](w.Rand, 0, 201, "202", 400, "fine", true, 200.5, []any{200})
	case w.IntN(3) > 0:
		o[name] = oneOf[any](w.Rand, 200, "200", 200.0, " 200 ", nil)
	}
}

// claims writes what else an object says of success and failure.
func (w *writer) claims(o map[string]any, action apisecret.Action) {
	for _, name := range []string{"error", "erro", "errors", "exception"} {
		switch {
		case w.IntN(8) == 0 && w.spoils():
			o[name] = oneOf(w.Rand, setFlags...)
		case w.IntN(3) == 0:
			o[name] = oneOf(w.Rand, unsetFlags...)
		}
	}
	switch {
	case w.spoils():
		o["success"] = oneOf[any](w.Rand, false, 0, "false", "", []any{})
	case w.IntN(4) == 0:
		o["success"] = oneOf[any](w.Rand, true, 1, "true", nil)
	}
	switch {
	case w.spoils():
		o[oneOf(w.Rand, "detail", "error_description")] = oneOf(w.Rand, append(contraries, stateWord(action.Opposite()))...)
	case w.IntN(3) == 0:
		o["detail"] = oneOf(w.Rand, harmless...)
	}
	o[oneOf(w.Rand, "error_code", "cod_erro", "tenant", "response_time")] = oneOf[any](w.Rand, 0, 1005, "default", nil)
}

// Of replies that are made of a success's words and of others, of fields that say so
// and of others: a success is read if and only if there is nothing else in it.
func FuzzReadReply_words(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, seed*7919)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		w := &writer{Rand: rand.New(rand.NewPCG(a, b))}
		action := oneOf(w.Rand, apisecret.Enable, apisecret.Disable)
		text, want := message(w.Rand, action)
		status, body := w.envelope(action, text)

		got := readReply(action, status, body)

		if want == "" || w.spoilt {
			want = apisecret.Failed
		}
		if got.outcome != want {
			t.Fatalf("%s, status %d, %s: got %+v, want %s", action, status, body, got, want)
		}
	})
}
