package apisecret_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"segura-enable/internal/apisecret"
)

var (
	everyField = []apisecret.Field{
		apisecret.FieldIdentifier, apisecret.FieldIdentifiers, apisecret.FieldReason, apisecret.FieldAction, apisecret.FieldCheck, apisecret.FieldExecution,
	}
	full       = apisecret.Form{Fields: everyField, MaxIdentifiers: 4}
	lenient    = apisecret.Form{Fields: everyField, MaxIdentifiers: 4, IgnoreUnknown: true}
	overHTTP   = apisecret.Form{Fields: everyField[:3], MaxIdentifiers: 4}
	reasonOnly = apisecret.Form{Fields: []apisecret.Field{apisecret.FieldReason}}
)

func several(identifiers ...apisecret.Identifier) apisecret.Document {
	return apisecret.Document{Request: apisecret.Request{Action: apisecret.Enable, Identifiers: identifiers}}
}

func single(i apisecret.Identifier) apisecret.Document {
	d := several(i)
	d.Single = true
	return d
}

func with(d apisecret.Document, change func(*apisecret.Document)) apisecret.Document {
	change(&d)
	return d
}

func TestRead_takesEveryWayToAsk(t *testing.T) {
	longest := strings.Repeat("😀", apisecret.MaxReason)
	disable := func(d *apisecret.Document) { d.Action = apisecret.Disable }
	check := func(d *apisecret.Document) { d.Check = true }
	reason := func(text string) func(*apisecret.Document) { return func(d *apisecret.Document) { d.Reason = text } }
	for _, row := range []struct {
		form apisecret.Form
		data string
		want apisecret.Document
	}{
		{full, `{"identifier":5}`, single(5)},
		{full, `{"identifier":"5"}`, single(5)},
		{full, `{"identifier":"\u0035"}`, single(5)},
		{full, `{"identifier":9007199254740993}`, single(9007199254740993)},
		{full, `{"identifiers":[5]}`, several(5)},
		{full, `{"identifiers":[6,"6",5,6]}`, several(6, 5)},
		{full, `{"identifiers":[7,"5",6,9223372036854775807]}`, several(7, 5, 6, apisecret.MaxIdentifier)},
		{full, "{\"reason\":\"CHG\\u0030\\n\",\r\n \"identifier\" :\t5 }", with(single(5), reason("CHG0\n"))},
		{full, `{"identifier":5,"reason":"` + longest + `"}`, with(single(5), reason(longest))},
		{full, `{"identifier":5,"reason":"` + strings.Repeat(`\ud83d\ude00`, apisecret.MaxReason) + `"}`, with(single(5), reason(longest))},
		{full, `{"identifier":5,"reason":"","execution":"e"}`, with(single(5), func(d *apisecret.Document) { d.Execution = "e" })},
		{full, `{"identifier":5,"action":"enable"}`, single(5)},
		{full, `{"action":"\u0064isable","identifiers":[5]}`, with(several(5), disable)},
		{full, `{"check":true}`, with(several(), check)},
		{full, `{"check":true,"identifiers":[5]}`, with(several(5), check)},
		{lenient, `{"identifier":5,"change":{"reason":1,"reason":2},"":0}`, single(5)},
		{lenient, `{"identifier":5,"identifiers":null,"reason":null,"action":null,"check":null}`, single(5)},
		{lenient, `{"check":true,"more":1}`, with(several(), check)},
		{overHTTP, `{"identifiers":[1,2,3,4]}`, several(1, 2, 3, 4)},
		{reasonOnly, `{}`, several()},
		{reasonOnly, `{"reason":"x"}`, with(several(), reason("x"))},
	} {
		if got, err := row.form.Read([]byte(row.data)); err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%.80s: got %+v and %v, want %+v", row.data, got, err, row.want)
		}
	}
}

func TestRead_refusesInASentenceWithoutValues(t *testing.T) {
	const neitherNor, alone = `action is neither "enable" nor "disable"`, "check enables nothing and takes no other field than identifiers"
	for _, row := range []struct {
		form apisecret.Form
		data string
		want string // a part of the error
	}{
		{full, ``, "not valid JSON"},
		{full, `[]`, "not a JSON object"},
		{full, `{}`, "one of identifier and identifiers is required"},
		{full, `{"reason":"marker","action":"disable"}`, "one of identifier and identifiers is required"},
		{lenient, `{"identifier":null,"identifiers":null,"other":1}`, "one of identifier and identifiers is required"},
		{full, `{"identifier":5,"identifiers":[6]}`, "exclude each other"},
		{full, `{"identifier":5,"identifi\u0065r":6}`, `repeats the field "identifier"`},
		{lenient, `{"identifier":5,"other":1,"other":2}`, `repeats the field "other"`},
		{full, `{"identifier":5,"Reason":"marker"}`, `unknown field "Reason"`},
		{full, `{"identifier":5,"\n":"marker"}`, `unknown field "\n"`},
		{full, `{"Records":[{"eventSource":"aws:s3"}]}`, `unknown field "Records"`},
		{lenient, `{"identifier":5,"reaſon":"marker"}`, `unknown field "rea\u017fon"`},
		{lenient, `{"identifier":5,"Reason":null}`, `unknown field "Reason"`},
		{overHTTP, `{"identifier":5,"action":"disable"}`, `unknown field "action"`},
		{overHTTP, `{"check":true}`, `unknown field "check"`},
		{reasonOnly, `{"identifier":5}`, `unknown field "identifier"`},
		{full, `{"identifier":"marker"}`, "identifier is not a positive integer in plain digits, at most 9223372036854775807"},
		{full, `{"identifier":null,"identifiers":[5]}`, "identifier is not a positive integer"},
		{full, `{"identifiers":[5,"marker"]}`, "identifiers[1] is not a positive integer"},
		{full, `{"identifiers":5}`, "identifiers is not an array"},
		{full, `{"identifiers":"5"}`, "identifiers is not an array"},
		{full, `{"identifiers":null}`, "identifiers is not an array"},
		{full, `{"identifiers":{"0":5}}`, "identifiers is not an array"},
		{full, `{"identifiers":[]}`, "identifiers is empty"},
		{lenient, `{"check":true,"identifiers":[]}`, "identifiers is empty"},
		{full, `{"identifiers":[1,1,1,1,1]}`, "identifiers has more than 4 elements"},
		{full, `{"identifier":5,"reason":5}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":null}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":{"text":"marker"}}`, "reason is not a string"},
		{full, `{"identifier":5,"reason":"` + strings.Repeat("é", 257) + `"}`, "reason has 257 characters, at most 256 are allowed"},
		{full, `{"identifier":5,"execution":5}`, "execution is not a string"},
		{full, `{"identifier":5,"action":"ENABLE"}`, neitherNor},
		{full, `{"identifier":5,"action":"enable "}`, neitherNor},
		{full, `{"identifier":5,"action":"di\u0131sable"}`, neitherNor},
		{full, `{"identifier":5,"action":"marker"}`, neitherNor},
		{full, `{"identifier":5,"action":""}`, neitherNor},
		{full, `{"identifier":5,"action":null}`, neitherNor},
		{full, `{"identifier":5,"action":["enable"]}`, neitherNor},
		{full, `{"check":false}`, "check can only be true"},
		{full, `{"check":"true"}`, "check can only be true"},
		{full, `{"check":1}`, "check can only be true"},
		{full, `{"check":true,"identifier":5}`, alone},
		{full, `{"check":true,"reason":"marker"}`, alone},
		{full, `{"check":true,"identifiers":[5],"action":"disable"}`, alone},
	} {
		got, err := row.form.Read([]byte(row.data))

		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "marker") {
			t.Errorf("%.80s: got %+v and the error %v, want %q in it and no value", row.data, got, err, row.want)
		}
	}
}

func TestRead_takesNoOtherSpellingOfAnIdentifier(t *testing.T) {
	spellings := []string{
		`0`, `-0`, `-5`, `5.0`, `5.5`, `5e0`, `5E0`, `50e-1`, `1e3`, `0.5e1`, `1E400`, `9223372036854775808`, `18446744073709551621`, `9223372036854775807.0`,
		`null`, `true`, `false`, `{}`, `[]`, `[5]`, `{"identifier":5}`, `{"5":5}`, `"5\u0000"`, `"\u0665"`, `"\ud835"`,
		`05`, `00`, `+5`, `.5`, `5.`, `0x5`, `1_000`, `NaN`, `Infinity`, `٥`, `５`, `'5'`, `5L`, `undefined`, // which JSON does not have
	}
	for _, text := range notDigits {
		quoted, _ := json.Marshal(text)
		spellings = append(spellings, string(quoted))
	}
	for _, spelling := range spellings {
		for _, document := range []string{`{"identifier":` + spelling + `}`, `{"identifiers":[5,"6",` + spelling + `]}`} {
			if got, err := full.Read([]byte(document)); err == nil {
				t.Errorf("%.200s: got %+v and no error", document, got)
			}
		}
	}
}

func TestRead_takesNoKeyForAnother(t *testing.T) {
	for _, document := range []string{
		// Repeated, however they are escaped.
		`{"identifier":5,"identifier":5}`, `{"identifiers":[5],"identifier\u0073":[6]}`, `{"\u0069dentifier":5,"ident\u0069fier":6}`,
		`{"reason":"x","identifier":5,"re\u0061son":"x"}`, `{"identifier":5,"action":"enable","\u0061ction":"disable"}`, `{"check":true,"check":true}`,
		// In other letter case.
		`{"Identifier":5}`, `{"iDentifier":5}`, `{"IDENTIFIERS":[5]}`, `{"identifier":5,"Identifier":6}`, `{"identifier":5,"Identifiers":[6]}`, `{"identifier":5,"REASON":"x"}`,
		`{"identifier":5,"reason":"x","Reason":"y"}`, `{"identifier":5,"\u0052eason":"x"}`, `{"identifier":5,"Action":"disable"}`, `{"Check":true}`, `{"check":true,"identifiers":[5],"Execution":"e"}`,
		// Ours only if case is folded as Unicode does: with a long s, or the Kelvin sign.
		`{"identifier":5,"identifier` + "\u017f" + `":[6]}`, `{"identifier` + `\u017f` + `":[5]}`, `{"identifier":5,"rea` + "\u017f" + `on":"x"}`, `{"chec` + `\u212a` + `":true}`,
	} {
		for name, form := range map[string]apisecret.Form{"strict": full, "lenient": lenient} {
			if got, err := form.Read([]byte(document)); err == nil {
				t.Errorf("%s, %s: got %+v and no error", name, document, got)
			}
		}
	}
	for _, key := range []string{
		``, ` `, `unknown`, `identifier `, ` identifier`, `identifier\u0000`, `identifier\u200b`, `identifi\u0435r`, `ids`, `identifier_code`, `dry_run`, `$schema`, `__proto__`, `detail`, `source`,
	} {
		document := `{"identifier":5,"` + key + `":6}`
		if got, err := full.Read([]byte(document)); err == nil {
			t.Errorf("strict, %s: got %+v and no error", document, got)
		}
		if got, err := lenient.Read([]byte(document)); err != nil || !reflect.DeepEqual(got, single(5)) {
			t.Errorf("lenient, %s: got %+v and %v, want the identifier 5 alone", document, got, err)
		}
	}
}

// What is accepted is what a reading of the same JSON by encoding/json says,
// within the form's limits; and it never matters in which order members stand.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"identifier":5}`, `{"identifiers":[5,"6"],"reason":"CHG"}`, `{"check":true}`, `{"check":true,"identifiers":[7,7]}`, `{"identifier":"5","action":"disable"}`,
		`{"identifiers":[5,5,5,5]}`, `{"identifier":5,"identifier":6}`, `{"Identifier":5}`, `{"identifiers":[]}`, `{"identifier":5e1}`, `{}`, `[]`,
		`{"identifier":5,"extra":{"a":[1]}}`, `{"identifier":5,"identifiers":null}`,
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
		inOrder, _ := json.Marshal(members)
		if again, err := form.Read(inOrder); err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q: got %+v, but %+v and %v with its members in another order", data, got, again, err)
		}
	})
}

// requireConsistent holds an accepted document against the members of its JSON.
func requireConsistent(t *testing.T, data []byte, got apisecret.Document, members map[string]json.RawMessage) {
	t.Helper()
	var elements []json.RawMessage
	_ = json.Unmarshal(members["identifiers"], &elements)
	has := func(name string) bool { value, ok := members[name]; return ok && string(value) != "null" }
	if has("identifier") {
		elements = append(elements, members["identifier"])
	}
	var want []apisecret.Identifier
	for _, element := range elements {
		text := string(element)
		_ = json.Unmarshal(element, &text) // where it is a string
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatalf("%q is accepted with the element %s", data, element)
		}
		if i := apisecret.Identifier(n); !slices.Contains(want, i) {
			want = append(want, i)
		}
	}
	if !slices.Equal(got.Identifiers, want) || len(elements) > full.MaxIdentifiers || got.Single != has("identifier") || got.Check != has("check") {
		t.Fatalf("%q: got %+v, want the identifiers %v", data, got, want)
	}
	if got.Action != apisecret.Enable && (got.Action != apisecret.Disable || !has("action")) || utf8.RuneCountInString(got.Reason) > apisecret.MaxReason {
		t.Fatalf("%q: got %+v", data, got)
	}
}
