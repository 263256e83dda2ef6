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

func TestMemory_isBoundWhateverIsSent(t *testing.T) {
	t.Parallel()
	const most = 128 << 20 // the smallest function that there is
	fields := distinctFields(payloadSize - 1000)
	documents := map[string]string{
		"5 MiB of one identifier":           `{"identifiers":[` + strings.Repeat("5,", 5<<19) + `5]}`,
		"5 MiB of strings of digits":        `{"identifiers":[` + strings.Repeat(`"5",`, 5<<18) + `5]}`,
		"5 MiB of long identifiers":         `{"identifiers":[` + strings.Repeat("9223372036854775807,", 5<<20/20) + `5]}`,
		"6 MB of a reason":                  `{"identifier":5,"reason":"` + strings.Repeat("x", payloadSize) + `"}`,
		"6 MB of escapes":                   `{"identifier":5,"reason":"` + strings.Repeat(`\u00e9`, payloadSize/6) + `"}`,
		"6 MB of one field":                 `{` + strings.Repeat(`"a":1,`, payloadSize/6) + `"identifier":5}`,
		"6 MB of fields":                    `{` + fields + `"identifier":5}`,
		"6 MB of columns":                   `{"Items":[{` + fields + `"identifier":5}]}`,
		"6 MB of white space":               strings.Repeat(" ", payloadSize) + `{`,
		"6 MB of brackets":                  `{"identifiers":` + strings.Repeat("[", payloadSize),
		"6 MB of one number":                `{"identifier":` + strings.Repeat("9", payloadSize) + `}`,
		"6 MB of a field's name":            `{"` + strings.Repeat("x", payloadSize) + `":5}`,
		"6 MB that are no UTF-8":            `{"identifier":"` + strings.Repeat("\xf0", payloadSize) + `"}`,
		"an envelope around 5 MiB":          eventBridge("com.example", `{"identifiers":[`+strings.Repeat("5,", 5<<19)+`5]}`),
		"an envelope around 6 MB of fields": eventBridge("com.example", `{`+fields+`"identifier":0}`),
		"an envelope with 6 MB beside it":   strings.Replace(eventBridge("com.example", `{"identifier":0}`), `{`, `{"other":"`+strings.Repeat("x", payloadSize)+`",`, 1),
		"an envelope around a string of it": eventBridge("aws.scheduler", `"`+strings.Repeat("{", payloadSize)+`"`),
	}
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, door := range []string{event, api} {
				w := start(t, setup{function: door, segura: anyIdentifier})
				payload := document
				if door == api {
					payload = encoded(t, stage.HTTPEvent("POST", "/api-secrets/enable", strings.ReplaceAll(document, "\xf0", "?"), nil))
				}

				inv := w.raw([]byte(payload))

				if door == event && inv.ErrorType != "Segura.InvalidRequest" {
					t.Errorf("%s: got %s, want Segura.InvalidRequest", name, inv.ErrorType)
				}
				if door == api && readHTTP(t, inv).status != 413 {
					t.Errorf("%s: got %s over HTTP, want 413", name, inv.Payload)
				}
				if got := w.segura.Count(seguratest.KindEnable); got != 0 {
					t.Errorf("%s, %s: Segura got %d calls, want none", door, name, got)
				}
				if got := w.function.MaxRSS(); got >= most {
					t.Errorf("%s, %s: got %.1f MiB of memory, want less than the %d of the smallest function", door, name, float64(got)/(1<<20), most>>20)
				}
				t.Logf("%s: %.1f MiB for %.1f MB", door, float64(w.function.MaxRSS())/(1<<20), float64(len(payload))/1e6)
			}
		})
	}
}

// distinctFields are so many bytes of members with names of their own.
func distinctFields(size int) string {
	var b strings.Builder
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, `"%d":1,`, n)
	}
	return b.String()
}

func TestMemory_isBoundWhateverSecretsManagerReplies(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	before := w.function.MaxRSS()
	w.secrets.Fail(secretsmanager.GiantBody, -1)

	is(t, w.one(5), "16 MiB of a secret", "failed", "credentials_unavailable", false, 0)

	if got := w.function.MaxRSS() - before; got > 12<<20 {
		t.Errorf("got %.1f MiB more of memory for a reply of 16 MiB, want it read to 1 MiB", float64(got)/(1<<20))
	}
	w.secrets.ClearFaults()
	is(t, w.one(5), "afterwards", "enabled", "", false, 1)
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
				w.raw([]byte(`{"check":true,"identifiers":[5]}`))
			}

			if got := w.function.MaxRSS() >> 20; got >= 80 {
				t.Errorf("got %d MiB of memory, want under 80", got)
			}
		})
	}
}

func TestAbuse_endsAndIsNoSuccess(t *testing.T) {
	t.Parallel()
	table := []struct {
		about string
		reply seguratest.Fault
	}{
		{"a body without end", seguratest.GiantBody(-1)},
		{"a body of 64 MiB", seguratest.GiantBody(64)},
		{"a gzip bomb", seguratest.GzipBomb(512)},
		{"headers without end", seguratest.EndlessHeaders()},
		{"interim replies without end", seguratest.EndlessEarlyHints()},
		{"no HTTP", seguratest.NotHTTP()},
	}
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "2", "SEGURA_ATTEMPT_TIMEOUT": "1s"},
	})
	for i, row := range table {
		identifier := int64(1001 + i)
		w.segura.Fail(seguratest.Match{Identifier: identifier}, row.reply, -1)

		inv := w.enable(identifier)

		got := inv.result.Results[0]
		if got.Outcome != "failed" || got.Error == nil || got.Error.Code == "internal_error" {
			t.Errorf("%s: got %+v (%+v), want a failure of Segura's", row.about, got, got.Error)
		}
		if inv.Duration > 5*time.Second {
			t.Errorf("%s: took %v, want two attempts of 1s at most", row.about, inv.Duration)
		}
		w.segura.ClearFaults()
		if got := w.one(identifier + 100); got.Outcome == "failed" {
			t.Errorf("%s, afterwards: got %+v (%+v)", row.about, got, got.Error)
		}
	}
	if got := w.function.MaxRSS() >> 20; got >= 80 {
		t.Errorf("got %d MiB of memory, want under 80", got)
	}
}
