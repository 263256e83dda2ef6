package apisecret_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
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
		{full, `{"identifiers":[]}`, "identifiers is empty"},
		{full, `{"identifiers":[5,"marker"]}`, "identifiers[1] is not a positive integer"},
		{full, `{"identifiers":[5,null]}`, "identifiers[1] is not a positive integer"},
		{full, `{"identifiers":[[5]]}`, "identifiers[0] is not a positive integer"},
		{full, `{"identifiers":[1,2,3,4,5]}`, "identifiers has more than 4 elements"},
		{full, `{"identifiers":[1,1,1,1,1]}`, "identifiers has more than 4 elements"},
		{full, `{"identifier":5,"reason":5}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":null}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":"` + strings.Repeat("é", 257) + `"}`, "reason has 257 characters, at most 256 are allowed"},
		{full, `{"identifier":5,"action":"Enable"}`, "action is neither"},
		{full, `{"identifier":5,"action":"marker"}`, "action is neither"},
		{full, `{"identifier":5,"action":""}`, "action is neither"},
		{full, `{"identifier":5,"action":null}`, "action is neither"},
		{full, `{"check":false}`, "check can only be true"},
		{full, `{"check":"true"}`, "check can only be true"},
		{full, `{"check":1}`, "check can only be true"},
		{full, `{"check":true,"identifier":5}`, "check stands alone"},
		{full, `{"check":true,"reason":"marker"}`, "check stands alone"},
		{full, `{"check":true,"action":"disable"}`, "check stands alone"},
		{lenient, `{"check":true,"identifiers":[5]}`, "check stands alone"},
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
