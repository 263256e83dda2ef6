package acceptance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// payloadSize is a little less than the most that Lambda passes on, in bytes.
const payloadSize = 6_000_000

// fits checks that the function never took so much memory, in MiB.
func (w *world) fits(t *testing.T, about string, most int64) {
	t.Helper()
	if got := w.function.MaxRSS(); got >= most<<20 {
		t.Errorf("%s: got %.1f MiB of memory, want less than %d", about, float64(got)/(1<<20), most)
	}
}

func TestMemory_isBoundWhateverIsSent(t *testing.T) {
	t.Parallel()
	var fields strings.Builder // with names of their own
	for n := 0; fields.Len() < payloadSize-1000; n++ {
		fmt.Fprintf(&fields, `"%d":1,`, n)
	}
	for name, document := range map[string]string{
		"5 MiB of one identifier":           `{"identifiers":[` + strings.Repeat("5,", 5<<19) + `5]}`,
		"5 MiB of strings of digits":        `{"identifiers":[` + strings.Repeat(`"5",`, 5<<18) + `5]}`,
		"5 MiB of long identifiers":         `{"identifiers":[` + strings.Repeat("9223372036854775807,", 5<<20/20) + `5]}`,
		"6 MB of escapes":                   `{"identifier":5,"reason":"` + strings.Repeat(`\u00e9`, payloadSize/6) + `"}`,
		"6 MB of one field":                 `{` + strings.Repeat(`"a":1,`, payloadSize/6) + `"identifier":5}`,
		"6 MB of fields":                    `{` + fields.String() + `"identifier":5}`,
		"6 MB of columns":                   `{"Items":[{` + fields.String() + `"identifier":5}]}`,
		"6 MB of brackets":                  `{"identifiers":` + strings.Repeat("[", payloadSize),
		"6 MB of one number":                `{"identifier":` + strings.Repeat("9", payloadSize) + `}`,
		"6 MB of a field's name":            `{"` + strings.Repeat("x", payloadSize) + `":5}`,
		"6 MB that are no UTF-8":            `{"identifier":"` + strings.Repeat("\xf0", payloadSize) + `"}`,
		"an envelope around 6 MB of fields": eventBridge("com.example", `{`+fields.String()+`"identifier":0}`),
		"an envelope with 6 MB beside it":   strings.Replace(eventBridge("com.example", `{"identifier":0}`), `{`, `{"other":"`+strings.Repeat("x", payloadSize)+`",`, 1),
		"an envelope around a string of it": eventBridge("aws.scheduler", `"`+strings.Repeat("{", payloadSize)+`"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, door := range []string{event, api} {
				w := start(t, setup{function: door, segura: anyIdentifier})
				payload := document
				if door == api {
					payload = encoded(t, stage.HTTPEvent("POST", "/api-secrets/enable", strings.ReplaceAll(document, "\xf0", "?"), nil))
				}

				a := w.invoke(payload)

				if (a.Answer.ErrorType != "Segura.InvalidRequest") != (a.Status == 413) || w.segura.Count(seguratest.KindEnable) != 0 {
					t.Errorf("%s: got %d %s, want 413 or Segura.InvalidRequest, and no call", door, a.Status, a.Answer.ErrorType)
				}
				w.fits(t, door, 128) // the smallest function that there is
			}
		})
	}
}

func TestMemory_isBoundWhateverSecretsManagerReplies(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	before := w.function.MaxRSS()
	w.secrets.Fail(secretsmanager.GiantBody, -1)

	w.enables("16 MiB of a secret", 5, "credentials_unavailable, attempts 0")

	w.fits(t, "a reply of 16 MiB, to be read to 1 MiB", before>>20+13)
}

// A token is looked for in all that Segura says, and so is taken apart; a list of API
// secrets has up to 16 MiB.
func TestMemory_isBoundWhateverSeguraReplies(t *testing.T) {
	t.Parallel()
	var token strings.Builder
	for random := rand.New(rand.NewPCG(1, 2)); token.Len() < 250<<10; {
		fmt.Fprintf(&token, "%x", random.Uint64())
	}
	entry := `{"identifier":"1","name":"` + strings.Repeat("x", 50) + `","a":1,"b":1,"c":1,"d":1,"can_view":true,"can_write":true},`
	for name, row := range map[string]struct {
		kind  seguratest.Kind
		reply seguratest.Fault
		times int
	}{
		"a token of 250 KiB":        {seguratest.KindToken, seguratest.TokenReply(`{"access_token":"` + token.String() + `"}`), 8},
		"a failed one of 250 KiB":   {seguratest.KindToken, seguratest.ReplyJSON(400, `{"access_token":"`+token.String()+`"}`), 8},
		"15 MiB of a list":          {seguratest.KindList, seguratest.ReplyJSON(200, `{"api_secret_on_list":[`+strings.Repeat(entry, 15<<20/len(entry))+`{}]}`), 2},
		"15 MiB of nothing, listed": {seguratest.KindList, seguratest.ReplyJSON(200, `{"api_secret_on_list":[`+strings.Repeat(`{},`, 5<<20)+`{}]}`), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: anyIdentifier})
			w.segura.Fail(seguratest.Match{Kind: row.kind}, row.reply, -1)
			for range row.times {
				w.invoke(`{"check":true,"identifiers":[5]}`)
			}
			w.fits(t, name, 80)
		})
	}
}

func TestAbuse_endsAndIsNoSuccess(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "2", "SEGURA_ATTEMPT_TIMEOUT": "1s"}})
	for i, reply := range []seguratest.Fault{
		seguratest.GiantBody(-1), seguratest.GiantBody(64), seguratest.GzipBomb(512), seguratest.EndlessHeaders(), seguratest.EndlessEarlyHints(), seguratest.NotHTTP(),
	} {
		identifier := int64(1001 + i)
		w.segura.Fail(seguratest.Match{Identifier: identifier}, reply, -1)

		// Two attempts of a second at most.
		if a := w.enable(identifier); a.Result.Failed != 1 || a.Result.FailedByCode["internal_error"] != 0 || a.Duration > 5*time.Second {
			t.Errorf("%v: got %s after %v, want a failure of Segura's soon", reply, a.Text, a.Duration)
		}
		w.segura.ClearFaults()
		if a := w.enable(identifier + 100); a.Result.Failed != 0 {
			t.Errorf("%v, afterwards: got %s", reply, a.Text)
		}
	}
	w.fits(t, "all of it", 80)
}

func TestThousands_takeOneTokenOneReadTenConnectionsAnd80MiB(t *testing.T) {
	t.Parallel()
	for about, row := range map[string]struct {
		setup
		n int
	}{"that succeed": {setup{segura: anyIdentifier}, 10_000}, "that fail, fewer": {setup{}, 4_000}} { // where only the sample exists
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			w := start(t, row.setup)

			a := w.enable(upTo(10_001, int64(10_000+row.n))...)

			if a.Result.Requested != row.n || *a.Result.Enabled+a.Result.FailedByCode["not_found"] != row.n || a.Result.Omitted == nil {
				t.Errorf("got %.300s", a.Text)
			}
			w.counts(about, 1, row.n, 1)
			if n := w.segura.Connections(); n > 10 && a.Result.Failed == 0 {
				t.Errorf("got %d connections, want at most 10", n)
			}
			w.fits(t, about, 80)
			if n := len(lines(t, a.Logs, stage.Line.IsAudit)); n != row.n {
				t.Errorf("got %d audit lines, want one of each", n)
			}
		})
	}
}

// Quotes are escaped when the result becomes JSON and again when that becomes a
// string; and the runtime library escapes what could be HTML.
func TestResult_theBoundOfAFunctionErrorCountsEscapedBytes(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	for name, id := range map[string]string{
		"quotes": strings.Repeat(`"`, 100), "backslashes": strings.Repeat(`\`, 100), "angle brackets": strings.Repeat(`<&>`, 40),
		"control characters": strings.Repeat("\x01\x7f", 50), "line separators": strings.Repeat("\u2028", 40), "astral": strings.Repeat("😀", 30), "plain": "x",
	} {
		w.segura.Reset()
		calls(seguratest.ReplyJSON(500, `{"message":"x","request_id":`+encoded(t, id)+`}`).WithHeader("X-Kong-Request-Id", ""))(w)
		a := w.enable(upTo(101, 250)...)
		const most = 30 << 10
		if kept := len(a.Result.Results); len(a.Payload) > most || len(a.Payload) < most-1000 || a.Result.Omitted == nil || kept == 0 || kept+a.Result.Omitted.Failed != 150 {
			t.Errorf("%s: got %d bytes with %d results, omitted %+v; want as much as fits into %d", name, len(a.Payload), kept, a.Result.Omitted, most)
		}
	}
}
