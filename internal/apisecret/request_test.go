package apisecret_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"segura-enable/internal/apisecret"
)

var (
	everyField = []apisecret.Field{
		apisecret.FieldIdentifier, apisecret.FieldIdentifiers, apisecret.FieldReason, apisecret.FieldAction, apisecret.FieldCheck,
	}
	full       = apisecret.Form{Fields: everyField, MaxIdentifiers: 4}
	lenient    = apisecret.Form{Fields: everyField, MaxIdentifiers: 4, IgnoreUnknown: true}
	overHTTP   = apisecret.Form{Fields: everyField[:3], MaxIdentifiers: 4}
	reasonOnly = apisecret.Form{Fields: []apisecret.Field{apisecret.FieldReason}}
)

// asks is a document with a request.
func asks(r apisecret.Request) apisecret.Document { return apisecret.Document{Request: r} }

func TestRead_takesEveryWayToAsk(t *testing.T) {
	longest := strings.Repeat("é", apisecret.MaxReason)
	for _, row := range []struct {
		form apisecret.Form
		data string
		want apisecret.Document
	}{
		{full, `{"identifier":5}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true})},
		{full, `{"identifier":"5"}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true})},
		{full, `{"identifiers":[5]}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}})},
		{full, `{"identifiers":[7,"5",6]}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{7, 5, 6}})},
		{full, `{"identifiers":[6,"6",5,6]}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{6, 5}})},
		{full, `{"identifiers":[9223372036854775807]}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{apisecret.MaxIdentifier}})},
		{full, `{"identifier":9007199254740993}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{9007199254740993}, Single: true})},
		{full, "{\"reason\":\"CHG\\u0030\\n\",\r\n \"identifier\" : 5 }", asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true, Reason: "CHG0\n"})},
		{full, `{"identifier":5,"reason":"` + longest + `"}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true, Reason: longest})},
		{full, `{"identifier":5,"reason":""}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true})},
		{full, `{"identifier":5,"action":"enable"}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true})},
		{full, `{"action":"disable","identifiers":[5]}`, asks(apisecret.Request{Action: "disable", Identifiers: []apisecret.Identifier{5}})},
		{full, `{"check":true}`, apisecret.Document{Request: apisecret.Request{Action: "enable"}, Check: true}},
		{lenient, `{"identifier":5,"change":{"reason":1,"reason":2},"":0}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true})},
		{lenient, `{"identifier":5,"identifiers":null,"reason":null,"action":null,"check":null}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{5}, Single: true})},
		{lenient, `{"check":true,"more":1}`, apisecret.Document{Request: apisecret.Request{Action: "enable"}, Check: true}},
		{overHTTP, `{"identifiers":[1,2,3,4]}`, asks(apisecret.Request{Action: "enable", Identifiers: []apisecret.Identifier{1, 2, 3, 4}})},
		{reasonOnly, `{}`, asks(apisecret.Request{Action: "enable"})},
		{reasonOnly, `{"reason":"x"}`, asks(apisecret.Request{Action: "enable", Reason: "x"})},
	} {
		if got, err := row.form.Read([]byte(row.data)); err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%.80s: got %+v and %v, want %+v", row.data, got, err, row.want)
		}
	}
}

func TestRead_refusesInASentenceWithoutValues(t *testing.T) {
	for _, row := range []struct {
		form apisecret.Form
		data string
		want string // a part of the error
	}{
		{full, ``, "not valid JSON"},
		{full, `[]`, "not a JSON object"},
		{full, `{}`, "one of identifier and identifiers is required"},
		{full, `{"reason":"marker"}`, "one of identifier and identifiers is required"},
		{full, `{"action":"disable"}`, "one of identifier and identifiers is required"},
		{full, `{"identifier":5,"identifiers":[6]}`, "exclude each other"},
		{full, `{"identifiers":[6],"identifier":5}`, "exclude each other"},
		{full, `{"identifier":5,"identifiers":[]}`, "identifiers is empty"},
		{full, `{"identifier":5,"identifiers":null}`, "identifiers is not an array"},
		{full, `{"identifier":null,"identifiers":[5]}`, "identifier is not a positive integer"},
		{full, `{"identifier":5,"identifier":5}`, `repeats the field "identifier"`},
		{full, `{"identifier":5,"identifi\u0065r":6}`, `repeats the field "identifier"`},
		{full, `{"Identifier":5}`, `unknown field "Identifier"`},
		{full, `{"IDENTIFIERS":[5]}`, `unknown field "IDENTIFIERS"`},
		{full, `{"identifier":5,"Reason":"marker"}`, `unknown field "Reason"`},
		{full, `{"identifier":5,"identifier_code":6}`, `unknown field "identifier_code"`},
		{full, `{"identifier":5,"":6}`, `unknown field ""`},
		{full, `{"identifier":5,"\n":"marker"}`, `unknown field "\n"`},
		{lenient, `{"identifier":5,"Reason":"marker"}`, `unknown field "Reason"`},
		{lenient, `{"identifier":5,"reaſon":"marker"}`, `unknown field "rea\u017fon"`},
		{lenient, `{"Check":true,"identifier":5}`, `unknown field "Check"`},
		{lenient, `{"identifier":5,"other":1,"other":2}`, `repeats the field "other"`},
		{lenient, `{"identifier":null,"identifiers":null}`, "one of identifier and identifiers is required"},
		{lenient, `{"other":1}`, "one of identifier and identifiers is required"},
		{full, `{"identifier":null}`, "identifier is not a positive integer"},
		{full, `{"identifier":0}`, "identifier is not a positive integer"},
		{full, `{"identifier":-5}`, "identifier is not a positive integer"},
		{full, `{"identifier":5.0}`, "identifier is not a positive integer"},
		{full, `{"identifier":5e0}`, "identifier is not a positive integer"},
		{full, `{"identifier":"05"}`, "identifier is not a positive integer"},
		{full, `{"identifier":""}`, "identifier is not a positive integer"},
		{full, `{"identifier":"marker"}`, "identifier is not a positive integer"},
		{full, `{"identifier":9223372036854775808}`, "at most 9223372036854775807"},
		{full, `{"identifier":true}`, "identifier is not a positive integer"},
		{full, `{"identifier":[5]}`, "identifier is not a positive integer"},
		{full, `{"identifier":{"5":5}}`, "identifier is not a positive integer"},
		{full, `{"identifiers":5}`, "identifiers is not an array"},
		{full, `{"identifiers":"5"}`, "identifiers is not an array"},
		{full, `{"identifiers":null}`, "identifiers is not an array"},
		{full, `{"identifiers":{}}`, "identifiers is not an array"},
		{full, `{"identifiers":true}`, "identifiers is not an array"},
		{full, `{"identifiers":{"0":5}}`, "identifiers is not an array"},
		{full, `{"identifiers":[]}`, "identifiers is empty"},
		{full, `{"identifiers":[5,"marker"]}`, "identifiers[1] is not a positive integer"},
		{full, `{"identifiers":[5,null]}`, "identifiers[1] is not a positive integer"},
		{full, `{"identifiers":[[5]]}`, "identifiers[0] is not a positive integer"},
		{full, `{"identifiers":[1,2,3,4,5]}`, "identifiers has more than 4 elements"},
		{full, `{"identifiers":[1,1,1,1,1]}`, "identifiers has more than 4 elements"},
		{full, `{"identifier":5,"reason":5}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":null}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":true}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":{"text":"marker"}}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":["marker"]}`, "reason is not a string"},
		{reasonOnly, `{"reason":5}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":"` + strings.Repeat("é", 257) + `"}`, "reason has 257 characters, at most 256 are allowed"},
		{full, `{"identifier":5,"action":"Enable"}`, "action is neither"},
		{full, `{"identifier":5,"action":"marker"}`, "action is neither"},
		{full, `{"identifier":5,"action":""}`, "action is neither"},
		{full, `{"identifier":5,"action":null}`, "action is neither"},
		{full, `{"check":false}`, "check can only be true"},
		{full, `{"check":"true"}`, "check can only be true"},
		{full, `{"check":1}`, "check can only be true"},
		{full, `{"check":true,"identifier":5}`, "check enables nothing"},
		{full, `{"check":true,"reason":"marker"}`, "check enables nothing"},
		{full, `{"check":true,"action":"disable"}`, "check enables nothing"},
		{full, `{"check":true,"identifiers":[5],"reason":"marker"}`, "check enables nothing"},
		{lenient, `{"check":true,"identifiers":[]}`, "identifiers is empty"},
		{overHTTP, `{"identifier":5,"action":"disable"}`, `unknown field "action"`},
		{overHTTP, `{"check":true}`, `unknown field "check"`},
		{reasonOnly, `{"identifier":5}`, `unknown field "identifier"`},
		{reasonOnly, `{"reason":"x","identifiers":[5]}`, `unknown field "identifiers"`},
		{full, `{"Records":[{"eventSource":"aws:s3"}]}`, `unknown field "Records"`},
	} {
		got, err := row.form.Read([]byte(row.data))

		if err == nil {
			t.Errorf("%.80s: got %+v, want an error with %q", row.data, got, row.want)
			continue
		}
		if text := err.Error(); !strings.Contains(text, row.want) || strings.Contains(text, "marker") {
			t.Errorf("%.80s: got the error %q, want %q in it and no value", row.data, text, row.want)
		}
	}
}

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

func TestRead_takesNoOtherSpellingOfAnIdentifier(t *testing.T) {
	for spelling, want := range map[string]apisecret.Identifier{
		`5`: 5, `"5"`: 5, `10`: 10, `"\u0035"`: 5, " 5 ": 5, "\n\t5\r\n": 5, `"9223372036854775807"`: apisecret.MaxIdentifier, `"9007199254740993"`: 9007199254740993,
	} {
		if got, err := full.Read([]byte(`{"identifier":` + spelling + `}`)); err != nil || !slices.Equal(got.Identifiers, []apisecret.Identifier{want}) {
			t.Errorf("%s: got %+v and %v, want %d", spelling, got, err, want)
		}
	}
	for _, spelling := range slices.Concat(notIdentifiers, notJSON) {
		for _, document := range []string{`{"identifier":` + spelling + `}`, `{"identifiers":[` + spelling + `]}`, `{"identifiers":[5,"6",` + spelling + `]}`} {
			if spelling == "" && strings.Contains(document, "[]") {
				continue // which is empty
			}
			if got, err := full.Read([]byte(document)); err == nil {
				t.Errorf("%.200s: got %+v and no error", document, got)
			}
		}
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

func TestRead_takesNoKeyForAnother(t *testing.T) {
	for _, document := range slices.Concat(wrongKeys, foldedKeys, []string{
		`{"identifier":5,"action":"enable","action":"disable"}`, `{"identifier":5,"Action":"disable"}`, `{"identifier":5,"ACTION":"enable"}`,
		`{"identifier":5,"action":"enable","\u0061ction":"disable"}`, `{"Check":true}`, `{"check":true,"check":true}`, `{"CHECK":true}`,
	}) {
		for name, form := range map[string]apisecret.Form{"strict": full, "lenient": lenient} {
			if got, err := form.Read([]byte(document)); err == nil {
				t.Errorf("%s, %s: got %+v and no error", name, document, got)
			}
		}
	}
	for _, document := range strangeKeys {
		if got, err := full.Read([]byte(document)); err == nil {
			t.Errorf("strict, %s: got %+v and no error", document, got)
		}
		if got, err := lenient.Read([]byte(document)); err != nil || !slices.Equal(got.Identifiers, []apisecret.Identifier{5}) {
			t.Errorf("lenient, %s: got %+v and %v, want the identifier 5 alone", document, got, err)
		}
	}
}

func TestRead_countsCharactersOfAReason(t *testing.T) {
	for name, character := range map[string]string{
		"ASCII": "x", "two bytes": "é", "three bytes": "セ", "four bytes": "😀", "combining": "\u0301", "escaped in JSON": "\n", "quotes": `"`,
	} {
		for length, isRead := range map[int]bool{apisecret.MaxReason: true, apisecret.MaxReason + 1: false} {
			reason := strings.Repeat(character, length)
			quoted, _ := json.Marshal(reason)
			for _, text := range []string{string(quoted), escaped(reason)} {
				got, err := full.Read([]byte(`{"identifier":5,"reason":` + text + `}`))

				if (err == nil) != isRead || isRead && got.Reason != reason {
					t.Errorf("%d characters of %s: got %q and %v", length, name, got.Reason, err)
				}
			}
		}
	}
}

// escaped is the text as a JSON string of nothing but \u escapes.
func escaped(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	return `"` + b.String() + `"`
}

func TestRead_takesNoOtherAction(t *testing.T) {
	for _, action := range []string{
		`"ENABLE"`, `"DISABLE"`, `" enable"`, `"enable "`, `"disable\n"`, `"activate"`, `"deactivate"`, `"toggle"`, `"enabled"`,
		`true`, `false`, `1`, `0`, `{}`, `[]`, `["enable"]`, `"enable,disable"`, `"di\u0131sable"`,
	} {
		if got, err := full.Read([]byte(`{"identifier":5,"action":` + action + `}`)); err == nil {
			t.Errorf("action %s: got %+v and no error", action, got)
		}
	}
	if got, err := full.Read([]byte(`{"action":"\u0064isable","identifier":5}`)); err != nil || got.Action != apisecret.Disable {
		t.Errorf("disable with an escape: got %+v and %v", got, err)
	}
}

// What is accepted is what a reading of the same JSON by encoding/json says,
// within the form's limits; and it never matters in which order members stand.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"identifier":5}`, `{"identifiers":[5,"6"],"reason":"CHG"}`, `{"check":true}`, `{"identifier":"5","action":"disable"}`,
		`{"identifiers":[5,5,5,5]}`, `{"identifier":5,"identifier":6}`, `{"Identifier":5}`, `{"identifiers":[]}`, `{"identifier":5e1}`, `{}`, `[]`,
		`{"identifier":5,"extra":{"a":[1]}}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, ignoreUnknown bool) {
		form := full
		form.IgnoreUnknown = ignoreUnknown
		got, err := form.Read(data)
		if err != nil {
			if text := err.Error(); len(text) > 600 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00") {
				t.Fatalf("%q: the error is no sentence: %q", data, text)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatalf("%q is accepted, but encoding/json says %v", data, err)
		}
		requireConsistent(t, data, got, members)
		if again, err := form.Read(reversed(members)); err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q: got %+v, but %+v and %v with its members in another order", data, got, again, err)
		}
	})
}

// requireConsistent holds an accepted document against the members of its JSON.
func requireConsistent(t *testing.T, data []byte, got apisecret.Document, members map[string]json.RawMessage) {
	t.Helper()
	_, one := members["identifier"]
	_, several := members["identifiers"]
	_, check := members["check"]
	if got.Check != check || got.Single != one || one && several || check && (one || several) {
		t.Fatalf("%q: got %+v", data, got)
	}
	if check != (len(got.Identifiers) == 0) || len(got.Identifiers) > full.MaxIdentifiers || one && len(got.Identifiers) != 1 {
		t.Fatalf("%q: got the identifiers %v", data, got.Identifiers)
	}
	wanted := []string{string(members["identifier"])}
	if several {
		var elements []json.RawMessage
		if err := json.Unmarshal(members["identifiers"], &elements); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		wanted = nil
		for _, element := range elements {
			wanted = append(wanted, string(element))
		}
	}
	for at, i := range got.Identifiers {
		if i < 1 || slices.Contains(got.Identifiers[:at], i) {
			t.Fatalf("%q: got the identifiers %v", data, got.Identifiers)
		}
		asked := slices.ContainsFunc(wanted, func(w string) bool {
			var text string
			return w == i.String() || json.Unmarshal([]byte(w), &text) == nil && text == i.String()
		})
		if !asked {
			t.Fatalf("%q: got %d, which nobody asked for", data, i)
		}
	}
	if got.Action != apisecret.Enable && (got.Action != apisecret.Disable || string(members["action"]) == "") || utf8.RuneCountInString(got.Reason) > apisecret.MaxReason {
		t.Fatalf("%q: got %+v", data, got)
	}
}

// reversed is an object of the members, by descending name.
func reversed(members map[string]json.RawMessage) []byte {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	text := "{"
	for at, name := range names {
		if at > 0 {
			text += ","
		}
		quoted, _ := json.Marshal(name)
		text += string(quoted) + ":" + string(members[name])
	}
	return []byte(text + "}")
}
