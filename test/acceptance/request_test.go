package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"segura-enable/simulated/stage"
)

// notIdentifiers are JSON values that are no identifier, however close.
var notIdentifiers = []string{
	`0`, `-0`, `-1`, `-5`, `5.0`, `5.5`, `5e0`, `5E0`, `5e+0`, `50e-1`, `1e3`, `0.5e1`, `1E400`,
	`9223372036854775808`, `18446744073709551615`, `18446744073709551621`, `9223372036854775807.0`, `1` + strings.Repeat("0", 400),
	`null`, `true`, `false`, `{}`, `[]`, `[5]`, `[[5]]`, `{"identifier":5}`, `{"5":5}`,
	`""`, `" "`, `"0"`, `"-0"`, `"+5"`, `"-5"`, `"05"`, `"005"`, `"00"`, `"5.0"`, `"5."`, `".5"`, `"5e0"`, `"5E0"`, `"1e3"`,
	`" 5"`, `"5 "`, `"\t5"`, `"5\n"`, `"5\r\n"`, `"5\u0000"`, `"\u00005"`, `"5\u00a0"`, `"\ufeff5"`, `"5\u200b"`, `"\u202e5"`,
	`"9223372036854775808"`, `"18446744073709551621"`, `"` + strings.Repeat("9", 400) + `"`,
	`"٥"`, `"５"`, `"५"`, `"Ⅴ"`, `"⁵"`, `"①"`, `"𝟝"`, `"\u0665"`,
	`"0x5"`, `"0b101"`, `"0o5"`, `"1_000"`, `"1,000"`, `"5,6"`, `"5-7"`, `"5;6"`, `"NaN"`, `"Infinity"`, `"five"`, `"null"`, `"true"`,
	`"5/6"`, `"../5"`, `"5/../6"`, `"5%2F6"`, `"%35"`, `"5?x"`, `"5#"`, `"5\\6"`, `"{identifier}"`, `"\ud835"`,
}

// notJSON are numbers that JSON does not have.
var notJSON = []string{`05`, `00`, `+5`, `.5`, `5.`, `0x5`, `1_000`, `NaN`, `Infinity`, `٥`, `５`, `'5'`, `5L`, ``, `undefined`}

func TestIdentifier_isAPositiveIntegerAsANumberOrAStringOfDigits(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier})
	requests := start(t, setup{function: api, segura: anyIdentifier})
	for spelling, want := range map[string]int64{
		`5`: 5, `"5"`: 5, `1`: 1, `"1"`: 1, `10`: 10, `"\u0035"`: 5, ` 5 `: 5, "\n\t5\r\n": 5,
		`9223372036854775807`: 9223372036854775807, `"9223372036854775807"`: 9223372036854775807,
		`9223372036854775806`: 9223372036854775806, `9007199254740993`: 9007199254740993, `"9007199254740993"`: 9007199254740993,
	} {
		one := events.accepts(t, "identifier", `{"identifier":`+spelling+`}`, want)
		if !strings.Contains(one.text, fmt.Sprintf(`"identifier":%d,`, want)) {
			t.Errorf("%s: the result %s has not the JSON number %d", spelling, one.text, want)
		}
		events.accepts(t, "identifiers", `{"identifiers":[`+spelling+`]}`, want)
		events.accepts(t, "detail", eventBridge("com.example", `{"identifiers":[`+spelling+`]}`), want)

		requests.segura.Reset()
		a := requests.http("POST", "/api-secrets/enable", `{"identifier":`+spelling+`}`, nil)
		requests.wasAsked(t, "over HTTP, "+spelling, "enable", want)
		if a.status != 200 || !strings.Contains(a.body, fmt.Sprintf(`"identifier":%d,`, want)) {
			t.Errorf("%s over HTTP: got %d %s, want 200 with the JSON number %d", spelling, a.status, a.body, want)
		}
	}
}

func TestIdentifier_anyOtherSpellingIsRefusedAndNothingIsSent(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for i, spelling := range append(slices.Clone(notIdentifiers), notJSON...) {
		w.refuses(t, "identifier", `{"identifier":`+spelling+`}`)
		several := []string{`{"identifiers":[` + spelling + `]}`, `{"identifiers":[5,"6",` + spelling + `]}`, eventBridge("com.example", `{"identifiers":[`+spelling+`,5]}`)}
		w.refuses(t, "identifiers", several[i%len(several)])
	}
}

func TestIdentifier_anyOtherSpellingInABodyIsRefusedAndNothingIsSent(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for i, spelling := range append(slices.Clone(notIdentifiers), notJSON...) {
		bodies := []string{`{"identifier":` + spelling + `}`, `{"identifiers":[5,` + spelling + `]}`}
		w.refusesHTTP(t, "spelling "+spelling, stage.HTTPEvent("POST", "/api-secrets/enable", bodies[i%2], nil), 400)
	}
}

func TestIdentifier_anyOtherSpellingInAPathIsRefusedAndNothingIsSent(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, text := range []string{
		"0", "-0", "-5", "+5", "05", "005", "5.0", "5.", "5e0", "1e3", "0x5", "1_000", "null", "true", "NaN", "five", "*",
		"9223372036854775808", "18446744073709551621", strings.Repeat("9", 400),
		"٥", "５", "५", "⁵", "𝟝", " 5", "5 ", "5\t", "5\n", "5\x00", "5\u200b", "\ufeff5", "%20", "5%20", "5%00", "5%0a", "%",
		"5,6", "5-7", "5;6", "5;x=1", "5&6", "5?6", "5#6", "5%2C6", "5%2F6", "5:6", "{identifier}", "%7Bidentifier%7D", "\"5\"", "[5]",
	} {
		for name, gateway := range payloads {
			w.refusesHTTP(t, fmt.Sprintf("%s, path identifier %q", name, text), gateway("POST", "/api-secrets/"+text+"/enable", "", nil), 400, 404)
		}
	}
}

func TestRequest_hasExactlyOneOfIdentifierAndIdentifiers(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier})
	requests := start(t, setup{function: api, segura: anyIdentifier})
	for _, document := range []string{
		`{}`, `{"reason":"CHG0012345"}`, `{"identifier":5,"identifiers":[5]}`, `{"identifier":5,"identifiers":[]}`,
		`{"identifier":5,"identifiers":null}`, `{"identifier":null,"identifiers":[5]}`, `{"identifiers":[]}`, `{"identifiers":null}`,
		`{"identifiers":5}`, `{"identifiers":"5"}`, `{"identifiers":"5,6"}`, `{"identifiers":{"0":5}}`, `{"identifiers":[[5]]}`,
		`{"identifiers":[5,[6]]}`, `{"identifiers":[5,{"identifier":6}]}`, `{"identifiers":true}`,
	} {
		events.refuses(t, "a document", document)
		events.refuses(t, "a detail", eventBridge("com.example", document))
		requests.refusesHTTP(t, "a body "+document, stage.HTTPEvent("POST", "/api-secrets/enable", document, nil), 400)
	}
	events.refuses(t, "only an action", `{"action":"enable"}`)
	requests.refusesHTTP(t, "no body", stage.HTTPEvent("POST", "/api-secrets/enable", "", nil), 400)
	requests.refusesHTTP(t, "no body", stage.RESTEvent("POST", "/api-secrets/disable", "", nil), 400)
}

func TestRequest_thatIsNoJSONObjectIsRefused(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier})
	requests := start(t, setup{function: api, segura: anyIdentifier})
	for _, document := range []string{
		`5`, `"5"`, `[5]`, `[{"identifier":5}]`, `null`, `true`, `"{\"identifier\":5}"`,
		`{`, `{"identifier":5`, `{"identifier":5,}`, `{"identifiers":[5,]}`, `{'identifier':5}`, `{identifier:5}`, `{"identifier" 5}`,
		`{"identifier":5}{"identifier":6}`, `{"identifier":5} x`, `{"identifier":5}]`, `{"identifier":5}//`, `/**/{"identifier":5}`, `x`,
		"{\"identifier\":5,\"reason\":\"\n\"}", "{\"identifier\":5,\"reason\":\"\x00\"}", `{"identifier":5,"reason":"\x41"}`,
		"{\"identifier\":5,\"reason\":\"\xff\"}", "{\"identifier\":5,\"reason\":\"\xed\xa0\x80\"}", "{\"identifier\":5,\"reason\":\"\xc0\xaf\"}",
		`{"identifier":5,"reason":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
		strings.Repeat(`{"a":`, 12000),
	} {
		events.refuses(t, "a document", document)
		requests.refusesHTTP(t, fmt.Sprintf("a body %.100q", document), rawBody(document), 400)
	}
	for _, document := range []string{``, ` `, "\n", "\ufeff", "\x00", "\xff\xfe"} {
		events.refuses(t, "nothing", document)
	}
}

// rawBody is a request with a body that may hold any bytes.
func rawBody(body string) map[string]any {
	e := stage.HTTPEvent("POST", "/api-secrets/enable", "x", nil)
	e["body"], e["isBase64Encoded"] = []byte(body), true // encoding/json writes bytes in base64
	return e
}

func TestRequest_anIdentifierThatIsRepeatedIsEnabledOnce(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier})
	inv := events.accepts(t, "repeats", `{"identifiers":[9,"5",5,3,"9",5,"5",3]}`, 9, 5, 3)
	if r := inv.result; r.Requested != 3 || *r.Enabled != 3 || r.Failed != 0 {
		t.Errorf("got %s, want three requested and three enabled", inv.text)
	}
	if n := len(auditOf(t, inv.Invocation)); n != 3 {
		t.Errorf("got %d audit lines, want 3", n)
	}
	events.accepts(t, "one many times", `{"identifiers":[`+strings.Repeat(`5,"5",`, 200)+`5]}`, 5)

	requests := start(t, setup{function: api, segura: anyIdentifier})
	requests.segura.Reset()
	a := requests.http("POST", "/api-secrets/enable", `{"identifiers":[5,"5",5]}`, nil)
	requests.wasAsked(t, "over HTTP", "enable", 5)
	if a.status != 200 || len(a.result.Results) != 1 {
		t.Errorf("got %d %s, want 200 and one result", a.status, a.body)
	}
}

func TestReason_hasAtMost256CodePoints(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier})
	requests := start(t, setup{function: api, segura: anyIdentifier})
	for name, character := range map[string]string{
		"ASCII": "x", "two bytes": "é", "three bytes": "セ", "four bytes": "😀", "combining": "\u0301", "escaped in JSON": "\n", "quotes": `"`,
	} {
		longest := strings.Repeat(character, 256)
		for about, document := range map[string]string{
			"as it is": `{"identifier":5,"reason":` + quoted(longest) + `}`,
			"escaped":  `{"identifier":5,"reason":` + escapedJSON(longest) + `}`,
		} {
			inv := events.accepts(t, name+" "+about, document, 5)
			if got := audited(t, name, inv.Invocation).Text("reason"); got != longest {
				t.Errorf("%s %s: the audit line has the reason %q, want all 256 characters", name, about, got)
			}
		}
		tooLong := longest + character
		events.refuses(t, name, `{"identifier":5,"reason":`+quoted(tooLong)+`}`)
		events.refuses(t, name, `{"identifier":5,"reason":`+escapedJSON(tooLong)+`}`)
		requests.refusesHTTP(t, name, stage.HTTPEvent("POST", "/api-secrets/5/enable", `{"reason":`+quoted(tooLong)+`}`, nil), 400)
		if a := requests.http("POST", "/api-secrets/5/enable", `{"reason":`+quoted(longest)+`}`, nil); a.status != 200 {
			t.Errorf("%s: 256 characters over HTTP: got %d %s, want 200", name, a.status, a.body)
		}
	}
}

// escapedJSON is the text as a JSON string of nothing but \u escapes.
func escapedJSON(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String() + `"`
}

func TestReason_isOptionalAndAString(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier})
	requests := start(t, setup{function: api, segura: anyIdentifier})
	for _, document := range []string{`{"identifier":5}`, `{"identifier":5,"reason":""}`} {
		inv := events.accepts(t, "without a reason", document, 5)
		if reason, ok := audited(t, document, inv.Invocation)["reason"]; ok && reason != "" {
			t.Errorf("%s: the audit line has the reason %v", document, reason)
		}
	}
	for _, reason := range []string{`5`, `true`, `{}`, `[]`, `["x"]`, `{"text":"x"}`} {
		events.refuses(t, "reason", `{"identifier":5,"reason":`+reason+`}`)
		events.refuses(t, "reason in a detail", eventBridge("com.example", `{"identifier":5,"reason":`+reason+`}`))
		requests.refusesHTTP(t, "reason "+reason, stage.HTTPEvent("POST", "/api-secrets/5/enable", `{"reason":`+reason+`}`, nil), 400)
		requests.refusesHTTP(t, "reason "+reason, stage.HTTPEvent("POST", "/api-secrets/enable", `{"identifier":5,"reason":`+reason+`}`, nil), 400)
	}
}

// wrongKeys are documents whose keys are repeated or differently cased, which
// is an error wherever they stand.
var wrongKeys = []string{
	`{"identifier":5,"identifier":5}`, `{"identifier":5,"identifier":6}`, `{"identifiers":[5],"identifiers":[6]}`,
	`{"identifier":5,"\u0069dentifier":6}`, `{"\u0069dentifier":5,"ident\u0069fier":6}`, `{"identifiers":[5],"identifier\u0073":[6]}`,
	`{"reason":"x","identifier":5,"reason":"y"}`, `{"reason":"x","identifier":5,"re\u0061son":"x"}`,
	`{"Identifier":5}`, `{"IDENTIFIER":5}`, `{"iDentifier":5}`, `{"Identifiers":[5]}`, `{"IDENTIFIERS":[5]}`,
	`{"identifier":5,"Identifier":6}`, `{"identifiers":[5],"Identifiers":[6]}`, `{"identifier":5,"Identifiers":[6]}`,
	`{"identifier":5,"Reason":"x"}`, `{"identifier":5,"REASON":"x"}`, `{"identifier":5,"reason":"x","Reason":"y"}`,
	`{"identifier":5,"\u0052eason":"x"}`,
}

// strangeKeys are documents with keys that are not known, some of them only for
// a reader who looks closely.
var strangeKeys = []string{
	`{"identifier":5,"unknown":1}`, `{"identifier":5,"":1}`, `{"identifier":5," ":1}`, `{"identifier":5,"identifier ":6}`,
	`{"identifier":5," identifier":6}`, `{"identifier":5,"identifier\u0000":6}`, `{"identifier":5,"identifier\u200b":6}`,
	`{"identifier":5,"identifi\u0435r":6}`, `{"identifier":5,"ids":[6]}`, `{"identifier":5,"identifier_code":6}`,
	`{"identifier":5,"comment":null}`, `{"identifier":5,"dry_run":true}`, `{"identifier":5,"$schema":"x"}`, `{"identifier":5,"__proto__":{}}`,
	`{"identifier":5,"detail":{}}`, `{"identifier":5,"source":"aws.events"}`,
}

// foldedKeys are keys that are one of ours only if case is folded as Unicode
// does: with a long s, or the Kelvin sign.
var foldedKeys = []string{
	`{"identifier":5,"identifier` + "\u017f" + `":[6]}`, `{"identifier` + "\u017f" + `":[5]}`, `{"identifier` + `\u017f` + `":[5]}`,
	`{"identifier":5,"rea` + "\u017f" + `on":"x"}`, `{"identifier":5,"chec` + "\u212a" + `":true}`, `{"chec` + `\u212a` + `":true}`,
}

func TestRequest_keysAreExact(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier})
	requests := start(t, setup{function: api, segura: anyIdentifier})
	for _, document := range slices.Concat(wrongKeys, strangeKeys, foldedKeys) {
		events.refuses(t, "a document", document)
		requests.refusesHTTP(t, "a body "+document, stage.HTTPEvent("POST", "/api-secrets/enable", document, nil), 400)
	}
	for _, document := range wrongKeys {
		events.refuses(t, "a detail", eventBridge("com.example", document))
	}
	for _, document := range []string{
		`{"identifier":5,"action":"enable","action":"disable"}`, `{"identifier":5,"Action":"disable"}`, `{"identifier":5,"ACTION":"enable"}`,
		`{"identifier":5,"action":"enable","\u0061ction":"disable"}`, `{"Check":true}`, `{"check":true,"check":true}`, `{"CHECK":true}`,
	} {
		events.refuses(t, "a document", document)
		events.refuses(t, "a detail", eventBridge("com.example", document))
	}
}

func TestRequest_aFieldThatIsUnknownIsOverlookedInADetailOnly(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, detail := range strangeKeys {
		w.accepts(t, "a detail", eventBridge("com.example", detail), 5)
	}
	w.accepts(t, "nested keys", eventBridge("com.example",
		`{"identifiers":[5,6],"reason":"x","change":{"identifier":9,"identifiers":[9],"Identifier":9,"reason":9},"list":[{"identifier":9}]}`), 5, 6)

	// Beside the detail, EventBridge may add what it likes, but nothing there is
	// a request.
	w.accepts(t, "keys beside the detail", `{"x-name":"r","version":"0","detail-type":"x","source":"com.example","detail":{"identifier":5},`+
		`"identifier":9,"identifiers":[9]}`, 5)
	w.refuses(t, "a replayed event", `{"replay-name":"r","version":"0","detail-type":"x","source":"com.example","detail":{"identifier":5}}`)
}

// Whatever a reader makes of a key that Unicode folds to one of ours, it is
// never taken for it.
func TestRequest_aKeyThatUnicodeFoldsIsNeverTakenForOneOfOurs(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, detail := range foldedKeys {
		w.segura.Reset()
		inv := w.raw([]byte(eventBridge("com.example", detail)))
		for _, call := range w.sent() {
			if call != "enable 5" || strings.HasPrefix(detail, `{"identifier`+"\u017f") || strings.HasPrefix(detail, `{"identifier\u`) {
				t.Errorf("detail %s: Segura got %s", detail, call)
			}
		}
		if strings.Contains(string(inv.Payload), `"steps"`) {
			t.Errorf("detail %s was taken for a self-check: %s", detail, inv.Payload)
		}
	}
}

func TestEnvelope_keysThatAreRepeatedOrDifferentlyCasedAreNoEnvelope(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_EVENT_SOURCES": "com.good"}})
	for _, payload := range []string{
		`{"detail-type":"x","source":"com.good","source":"com.bad","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.bad","source":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.bad","\u0073ource":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.good","detail":{"identifier":5},"detail":{"identifier":6}}`,
		`{"detail-type":"x","Source":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.bad","Source":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.good","Detail":{"identifier":5}}`,
		`{"Detail-Type":"x","source":"com.good","detail":{"identifier":5}}`,
		`{"source":"com.good","detail":{"identifier":5}}`, `{"detail":{"identifier":5}}`, `{"detail-type":"x","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":null,"detail":{"identifier":5}}`, `{"detail-type":"x","source":["com.good"],"detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.good","detail":null}`, `{"detail-type":"x","source":"com.good","detail":[5]}`,
		`{"detail-type":"x","source":"com.good","detail":5}`, `{"detail-type":"x","source":"com.good","detail":"5"}`,
		`{"detail-type":"x","source":"com.good","detail":{}}`, `{"detail-type":"x","source":"com.good","detail":"{}"}`,
	} {
		w.refuses(t, "an envelope", payload)
	}
}

func TestAction_isEnableOrDisable(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	w.accepts(t, "no action", `{"identifier":5}`, 5)
	w.accepts(t, "enable", `{"identifier":5,"action":"enable"}`, 5)
	w.accepts(t, "escaped", `{"action":"\u0065nable","identifier":5}`, 5)
	for _, payload := range []string{`{"identifier":5,"action":"disable"}`, `{"action":"disable","identifiers":["5"]}`,
		eventBridge("com.example", `{"action":"disable","identifier":5}`)} {
		w.segura.Reset()
		w.segura.SetActive(5, true)
		inv := w.invoke(payload)
		w.wasAsked(t, payload, "disable", 5)
		if inv.FunctionError || w.segura.Active(5) {
			t.Errorf("%s: got %s, want 5 disabled", payload, inv.text)
		}
	}
	for _, action := range []string{
		`"ENABLE"`, `"Enable"`, `"DISABLE"`, `" enable"`, `"enable "`, `"disable\n"`, `""`, `"activate"`, `"deactivate"`, `"toggle"`, `"enabled"`,
		`null`, `true`, `false`, `1`, `0`, `{}`, `[]`, `["enable"]`, `"enable,disable"`, `"di\u0131sable"`,
	} {
		w.refuses(t, "action", `{"identifier":5,"action":`+action+`}`)
		w.refuses(t, "action in a detail", eventBridge("com.example", `{"identifier":5,"action":`+action+`}`))
	}
}

func TestAPI_takesNeitherActionNorCheckNorAnotherIdentifier(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, body := range []string{
		`{"identifier":5,"action":"enable"}`, `{"identifier":5,"action":"disable"}`, `{"identifiers":[5],"action":"enable"}`, `{"check":true}`,
		`{"identifier":5,"check":true}`,
	} {
		for _, path := range []string{"/api-secrets/enable", "/api-secrets/disable"} {
			w.refusesHTTP(t, path+" "+body, stage.HTTPEvent("POST", path, body, nil), 400)
			w.refusesHTTP(t, path+" "+body, stage.RESTEvent("POST", path, body, nil), 400)
		}
	}
	for _, body := range []string{
		`{"identifier":5}`, `{"identifier":6}`, `{"identifiers":[6]}`, `{"action":"enable"}`, `{"check":true}`, `{"reason":"x","identifier":6}`,
		`{"unknown":1}`, `{"Reason":"x"}`, `{"reason":"x","reason":"y"}`, `{"reason":"x","re\u0061son":"y"}`, `[]`, `5`, `"x"`, `null`, `{`, `x`,
	} {
		for _, path := range []string{"/api-secrets/5/enable", "/api-secrets/5/disable"} {
			w.refusesHTTP(t, path+" "+body, stage.HTTPEvent("POST", path, body, nil), 400)
			w.refusesHTTP(t, path+" "+body, stage.RESTEvent("POST", path, body, nil), 400)
		}
	}
	for _, body := range []string{"", `{}`, `{"reason":"x"}`, ` { } `} {
		w.segura.Reset()
		if a := w.http("POST", "/api-secrets/5/enable", body, nil); a.status != 200 {
			t.Errorf("body %q: got %d %s, want 200", body, a.status, a.body)
		}
		w.wasAsked(t, "body "+body, "enable", 5)
	}
}

func TestAPI_takesAHundredIdentifiersAndNotOneMore(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	hundred := upTo(1001, 1100)
	a := w.http("POST", "/api-secrets/enable", list("enable", hundred...), nil)
	if got := identifiers(a.result.Results); a.status != 200 || !slices.Equal(got, hundred) {
		t.Errorf("100 identifiers: got %d %.500s, want 200 and all of them", a.status, a.body)
	}
	w.wasAsked(t, "100 identifiers", "enable", hundred...)
	for name, gateway := range payloads {
		w.refusesHTTP(t, "101 identifiers, "+name, gateway("POST", "/api-secrets/enable", list("enable", upTo(1001, 1101)...), nil), 400)
		w.refusesHTTP(t, "101 to disable, "+name, gateway("POST", "/api-secrets/disable", list("enable", upTo(1001, 1101)...), nil), 400)
	}
}

// That 10,000 are taken is shown where their results are.
func TestEvent_takesNotOneIdentifierMoreThanTenThousand(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "1"}})
	w.refuses(t, "10,001 identifiers", list("enable", upTo(10_001, 20_001)...))
	w.refuses(t, "10,001 identifiers in a detail", eventBridge("com.example", list("enable", upTo(10_001, 20_001)...)))
	w.refuses(t, "10,001 identifiers to disable", list("disable", upTo(10_001, 20_001)...))
}

// scheduled is what EventBridge sends on a schedule: a rule, or Scheduler.
func scheduled(source, detail string) string {
	return `{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":` + quoted(source) +
		`,"account":"123456789012","time":"2026-11-21T06:00:00Z","region":"eu-west-1",` +
		`"resources":["arn:aws:events:eu-west-1:123456789012:rule/every-morning"],"detail":` + detail + `}`
}

func TestScheduledEvent_withoutDetailEnablesTheDefaults(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "102,100-101,9,100"}})
	for _, payload := range []string{
		scheduled("aws.events", `{}`), scheduled("aws.scheduler", `"{}"`), scheduled("aws.scheduler", `{}`), scheduled("aws.events", `{ }`),
		string(sample(t, "scheduled-rule.json")), string(sample(t, "scheduler-default-payload.json")),
	} {
		w.accepts(t, "scheduled", payload, 102, 100, 101, 9)
	}
	w.accepts(t, "with a detail", scheduled("aws.events", `{"identifier":5}`), 5)
	w.accepts(t, "with a detail", scheduled("aws.scheduler", `{"identifiers":[5,6],"reason":"x","more":1}`), 5, 6)
	for _, payload := range []string{
		eventBridge("com.example", `{}`), eventBridge("com.example", `"{}"`), eventBridge("aws.ec2", `{}`), eventBridge("aws.event", `{}`),
		eventBridge("aws.events.example", `{}`), eventBridge("AWS.EVENTS", `{}`), eventBridge(" aws.events", `{}`), eventBridge("aws.scheduler ", `"{}"`),
		scheduled("aws.events", `{"unknown":1}`), scheduled("aws.events", `{"identifiers":[]}`), scheduled("aws.events", `[]`),
		scheduled("aws.events", `5`), scheduled("aws.events", `"x"`), scheduled("aws.scheduler", `"[]"`),
		scheduled("aws.scheduler", `"{"`), scheduled("aws.scheduler", `"{} {}"`), scheduled("aws.scheduler", `["{}"]`),
		scheduled("aws.events", `{"reason":"no identifier"}`), scheduled("aws.events", `{"action":"disable"}`),
	} {
		w.refuses(t, "not bare", payload)
	}
}

func TestScheduledEvent_withoutDetailAndWithoutDefaultsIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	w.refuses(t, "rule", scheduled("aws.events", `{}`))
	w.refuses(t, "Scheduler", scheduled("aws.scheduler", `"{}"`))
	w.accepts(t, "with a detail", scheduled("aws.events", `{"identifier":5}`), 5)
}

func TestAllowedEventSources_mayEnableAndNoOthers(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{
		"SEGURA_ALLOWED_EVENT_SOURCES": "com.example.change-management, aws.scheduler", "SEGURA_DEFAULT_IDENTIFIERS": "9",
	}})
	w.accepts(t, "listed", eventBridge("com.example.change-management", `{"identifier":5}`), 5)
	w.accepts(t, "listed behind a space", scheduled("aws.scheduler", `"{}"`), 9)
	w.accepts(t, "no EventBridge event", `{"identifier":5}`, 5)
	for _, source := range []string{
		"com.example", "com.example.change-management.evil", "com.example.change-managemen", "COM.EXAMPLE.CHANGE-MANAGEMENT", "aws.events",
		" aws.scheduler", "aws.scheduler ", "", "*", "com.example.change-management, aws.scheduler", "com.example.change-management\x00", ",",
	} {
		for _, detail := range []string{`{"identifier":5}`, `{"identifier":5,"action":"disable"}`, `{}`, `"{}"`} {
			w.refuses(t, "source "+source, eventBridge(source, detail))
		}
	}
	inv := w.invoke(eventBridge("com.evil", `{"check":true}`))
	if inv.ErrorType != "Segura.InvalidRequest" {
		t.Errorf("a self-check of a source that is not listed: got %q %s, want Segura.InvalidRequest", inv.ErrorType, inv.text)
	}
}

func TestAllowedEventSources_whenEmptyAllowsAny(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_EVENT_SOURCES": ""}})
	for _, source := range []string{"com.example", "aws.s3", "", "x y"} {
		w.accepts(t, "source "+source, eventBridge(source, `{"identifier":5}`), 5)
	}
}

func TestForeignEvents_areRefusedByTheEventFunction(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "9"}})
	for name, payload := range foreign {
		w.refuses(t, name, payload)
	}
	for name, gateway := range payloads {
		w.refuses(t, "of a "+name, encoded(t, gateway("POST", "/api-secrets/5/enable", "", nil)))
		w.refuses(t, "of a "+name, encoded(t, gateway("POST", "/api-secrets/enable", `{"identifier":5}`, nil)))
	}
	for _, name := range []string{"rest-one.json", "rest-batch.json", "http-api-one.json", "http-api-batch.json", "function-url.json"} {
		w.refuses(t, name, string(sample(t, name)))
	}
}

func TestForeignEvents_areRefusedByTheAPIFunction(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	shapes := maps.Clone(foreign)
	maps.Copy(shapes, foreignHTTP)
	for _, name := range []string{"direct-one.json", "direct-many.json", "scheduler-custom-input.json", "scheduler-default-payload.json",
		"scheduled-rule.json", "eventbridge-custom.json", "step-functions.json", "bulk-batch.json", "eventbridge-replay.json", "self-check.json"} {
		shapes[name] = string(sample(t, name))
	}
	for name, payload := range shapes {
		var e map[string]any
		if json.Unmarshal([]byte(payload), &e) != nil {
			t.Fatalf("%s is no JSON object", name)
		}
		w.refusesHTTP(t, name, e, 400, 404)
	}
}

func TestForeignHTTPEvents_areRefusedByTheEventFunction(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for name, payload := range foreignHTTP {
		w.refuses(t, name, payload)
	}
}

// foreign are events of AWS that neither function serves, each with something
// in it that looks like a request.
var foreign = map[string]string{
	"SNS": `{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"arn:aws:sns:eu-west-1:123456789012:t:1",
		"Sns":{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:eu-west-1:123456789012:t","Subject":"x","Message":"{\"identifier\":5}"}}]}`,
	"SQS": `{"Records":[{"messageId":"1","receiptHandle":"x","body":"{\"identifiers\":[5]}","attributes":{},"messageAttributes":{},"md5OfBody":"x",
		"eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:123456789012:q","awsRegion":"eu-west-1"}]}`,
	"S3": `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":"b"},"object":{"key":"api-secrets/5/enable","size":5}}}]}`,
	"DynamoDB": `{"Records":[{"eventID":"1","eventName":"INSERT","eventSource":"aws:dynamodb","dynamodb":{"Keys":{"identifier":{"N":"5"}},
		"NewImage":{"identifier":{"N":"5"}},"StreamViewType":"NEW_IMAGE"}}]}`,
	"Kinesis":          `{"Records":[{"kinesis":{"data":"eyJpZGVudGlmaWVyIjo1fQ==","partitionKey":"5"},"eventSource":"aws:kinesis"}]}`,
	"Kafka":            `{"eventSource":"aws:kafka","bootstrapServers":"b:9092","records":{"t-0":[{"topic":"t","value":"eyJpZGVudGlmaWVyIjo1fQ=="}]}}`,
	"Firehose":         `{"invocationId":"1","deliveryStreamArn":"arn:aws:firehose:eu-west-1:123456789012:d","records":[{"recordId":"1","data":"eyJpZGVudGlmaWVyIjo1fQ=="}]}`,
	"CloudWatch Logs":  `{"awslogs":{"data":"H4sIAAAAAAAA/6tWykxRslIwrQUAgZGgWQ4AAAA="}}`,
	"CloudWatch alarm": `{"source":"aws.cloudwatch","alarmArn":"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a","accountId":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1","alarmData":{"alarmName":"a"}}`,
	"CloudFormation": `{"RequestType":"Create","ResponseURL":"https://example.com","StackId":"s","RequestId":"1","ResourceType":"Custom::X",
		"LogicalResourceId":"X","ResourceProperties":{"ServiceToken":"x","identifier":"5"}}`,
	"Cognito":                  `{"version":"1","triggerSource":"PreSignUp_SignUp","region":"eu-west-1","userPoolId":"p","userName":"5","request":{"userAttributes":{}},"response":{}}`,
	"Config":                   `{"version":"1.0","invokingEvent":"{\"identifier\":5}","ruleParameters":"{}","resultToken":"t","eventLeftScope":false}`,
	"CodePipeline":             `{"CodePipeline.job":{"id":"1","data":{"actionConfiguration":{"configuration":{"UserParameters":"{\"identifier\":5}"}}}}}`,
	"AppSync":                  `{"arguments":{"identifier":5},"identity":null,"source":null,"request":{"headers":{}},"info":{"fieldName":"enable"}}`,
	"S3 Batch":                 `{"invocationSchemaVersion":"1.0","invocationId":"1","job":{"id":"1"},"tasks":[{"taskId":"1","s3Key":"5"}]}`,
	"Lambda@Edge":              `{"Records":[{"cf":{"config":{"eventType":"viewer-request"},"request":{"method":"POST","uri":"/api-secrets/5/enable","headers":{}}}}]}`,
	"Lex":                      `{"messageVersion":"1.0","invocationSource":"FulfillmentCodeHook","userId":"u","currentIntent":{"name":"enable","slots":{"identifier":"5"}}}`,
	"Bedrock agent":            `{"messageVersion":"1.0","agent":{"name":"a"},"actionGroup":"g","apiPath":"/api-secrets/5/enable","httpMethod":"POST","parameters":[],"requestBody":{}}`,
	"Secrets Manager rotation": `{"SecretId":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:s","ClientRequestToken":"t","Step":"createSecret"}`,
	"asynchronous destination": `{"version":"1.0","timestamp":"2026-11-21T08:15:30.000Z","requestContext":{"requestId":"1","functionArn":"f","condition":"Success","approximateInvokeCount":1},
		"requestPayload":{"identifier":5},"responseContext":{"statusCode":200},"responsePayload":{"identifier":5}}`,
	"S3 by EventBridge": `{"version":"0","id":"1","detail-type":"Object Created","source":"aws.s3","account":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1",
		"resources":["arn:aws:s3:::b"],"detail":{"version":"0","bucket":{"name":"b"},"object":{"key":"5","size":5},"request-id":"1","reason":"PutObject"}}`,
	"CloudTrail by EventBridge": `{"version":"0","id":"1","detail-type":"AWS API Call via CloudTrail","source":"aws.secretsmanager","account":"123456789012",
		"time":"2026-11-21T08:15:30Z","region":"eu-west-1","resources":[],"detail":{"eventVersion":"1.08","eventName":"PutSecretValue","requestParameters":{"identifier":5}}}`,
}

// foreignHTTP are events that carry an HTTP request, or look as if they did,
// and come neither from API Gateway nor from a function URL.
var foreignHTTP = map[string]string{
	"ALB": `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/t/1"}},"httpMethod":"POST",
		"path":"/api-secrets/5/enable","queryStringParameters":{},"headers":{"host":"x"},"body":"","isBase64Encoded":false}`,
	"ALB with several values": `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/t/1"}},"httpMethod":"POST",
		"path":"/api-secrets/enable","multiValueHeaders":{"content-type":["application/json"]},"body":"{\"identifier\":5}","isBase64Encoded":false}`,
	"WebSocket": `{"requestContext":{"routeKey":"enable","messageId":"m","eventType":"MESSAGE","connectionId":"c","apiId":"a","domainName":"x","stage":"prod"},
		"body":"{\"action\":\"enable\",\"identifier\":5}","isBase64Encoded":false}`,
	"WebSocket connection": `{"headers":{"Host":"x"},"multiValueHeaders":{"Host":["x"]},"requestContext":{"routeKey":"$connect","eventType":"CONNECT",
		"connectionId":"c","apiId":"a","domainName":"x","stage":"prod"},"isBase64Encoded":false}`,
	"VPC Lattice": `{"raw_path":"/api-secrets/5/enable","method":"POST","headers":{"host":"x"},"query_string_parameters":{},"body":"","is_base64_encoded":false}`,
	"VPC Lattice, version 2": `{"version":"2.0","path":"/api-secrets/5/enable","method":"POST","headers":{"host":["x"]},"isBase64Encoded":false,
		"requestContext":{"serviceNetworkArn":"n","serviceArn":"s","targetGroupArn":"t","region":"eu-west-1","timeEpoch":"1"}}`,
	"REST API authorizer": `{"type":"REQUEST","methodArn":"arn:aws:execute-api:eu-west-1:123456789012:a/prod/POST/api-secrets/5/enable","resource":"/{proxy+}",
		"path":"/api-secrets/5/enable","httpMethod":"POST","headers":{"Host":"x"},"multiValueHeaders":{"Host":["x"]},"queryStringParameters":{},
		"pathParameters":{"proxy":"api-secrets/5/enable"},"stageVariables":{},"requestContext":{"path":"/prod/api-secrets/5/enable","httpMethod":"POST","stage":"prod","apiId":"a","identity":{}}}`,
	"REST API token authorizer": `{"type":"TOKEN","authorizationToken":"allow","methodArn":"arn:aws:execute-api:eu-west-1:123456789012:a/prod/POST/api-secrets/5/enable"}`,
	"HTTP API authorizer": `{"version":"2.0","type":"REQUEST","routeArn":"arn:aws:execute-api:eu-west-1:123456789012:a/$default/POST/api-secrets/5/enable","identitySource":["x"],
		"routeKey":"$default","rawPath":"/api-secrets/5/enable","rawQueryString":"","headers":{"host":"x"},"requestContext":{"apiId":"a","stage":"$default",
		"http":{"method":"POST","path":"/api-secrets/5/enable","protocol":"HTTP/1.1","sourceIp":"203.0.113.24","userAgent":"x"}}}`,
	"HTTP API of a later version": `{"version":"3.0","rawPath":"/api-secrets/5/enable","path":"/api-secrets/5/enable","httpMethod":"POST","headers":{},"requestContext":{"http":{"method":"POST"}}}`,
}
