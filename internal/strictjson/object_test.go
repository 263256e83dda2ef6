package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"segura-enable/internal/strictjson"
)

func TestObject_keepsNamesValuesAndOrder(t *testing.T) {
	data := []byte(" {\"b\" : 1 ,\n\"a\":\"x\\u0041\",\"A\":[1, 2],\"\\u0062b\":{\"b\":1,\"b\":2},\"\":null} ")

	got, err := strictjson.Object(data)
	clear(data) // the values are copies: a caller's buffer is used again

	want := []strictjson.Member{
		{Name: "b", Value: json.RawMessage(`1`)},
		{Name: "a", Value: json.RawMessage(`"x\u0041"`)},
		{Name: "A", Value: json.RawMessage(`[1, 2]`)},
		{Name: "bb", Value: json.RawMessage(`{"b":1,"b":2}`)},
		{Name: "", Value: json.RawMessage(`null`)},
	}
	same := func(a, b strictjson.Member) bool { return a.Name == b.Name && string(a.Value) == string(b.Value) }
	if err != nil || !slices.EqualFunc(got, want, same) {
		t.Errorf("got %s and %v, want %s", got, err, want)
	}
}

// 256 KiB hold some 30,000 members; an invocation of 6 MB holds enough to take all memory.
func TestObject_refusesMoreMembersThanAnEventCanHave(t *testing.T) {
	object := func(members int) []byte {
		var b strings.Builder
		for n := range members {
			fmt.Fprintf(&b, `,"%d":1`, n)
		}
		return []byte(`{` + b.String()[1:] + `}`)
	}

	got, err := strictjson.Object(object(50_000))
	_, refusal := strictjson.Object(object(50_001))

	if len(got) != 50_000 || err != nil || !errors.Is(refusal, strictjson.ErrTooMany) {
		t.Errorf("got %d members and %v, then %v; want all of 50,000 and none of one more", len(got), err, refusal)
	}
}

func TestObject_refusesWhatIsNoSingleObject(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	for want, refused := range map[error][]string{
		strictjson.ErrNotJSON:   {"", " ", "{", `{"a":1}}`, `{"a":1}{"b":1}`, `{"a":1} x`, `{"a":1,}`, `{'a':1}`, `{"a":1}//`, "{\"a\":\"line\nbreak\"}", "\ufeff{}", deep},
		strictjson.ErrNotObject: {"[]", `[{"a":1}]`, `"{}"`, "1", "null", "true"},
		strictjson.ErrNotUTF8:   {"{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xff\"}", "{\"\xc3\":1}"},
	} {
		for _, data := range refused {
			if got, err := strictjson.Object([]byte(data)); !errors.Is(err, want) || got != nil {
				t.Errorf("%.60q: got %v and the error %v, want %v", data, got, err, want)
			}
		}
	}
}

func TestObject_refusesARepeatedNameHoweverItIsSpelled(t *testing.T) {
	for _, data := range []string{
		`{"name":"marker-1","name":"marker-1"}`,
		`{"name":1,"other":2,"na\u006de":"marker-1"}`,
		`{"\u006e\u0061me":null,"name":"marker-1"}`,
	} {
		members, err := strictjson.Object([]byte(data))

		if members != nil || err == nil || !strings.Contains(err.Error(), `"name"`) || strings.Contains(err.Error(), "marker-1") {
			t.Errorf("%s: got %v and the error %v, want one that names the field and repeats no value", data, members, err)
		}
	}
}

func TestQuote_isPrintableASCIIOfBoundedLength(t *testing.T) {
	for text, want := range map[string]string{
		"": `""`, "a\"b\\c": `"a\"b\\c"`, "line\nbreak\r\x1b[31m": `"line\nbreak\r\x1b[31m"`, "é\u202e": `"\u00e9\u202e"`, "\xff": `"\xff"`,
		strings.Repeat("a", 64): `"` + strings.Repeat("a", 64) + `"`,
		strings.Repeat("a", 65): `"` + strings.Repeat("a", 64) + `\u2026"`,
	} {
		if got := strictjson.Quote(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestString_takesStringsOnly(t *testing.T) {
	for value, want := range map[string]string{`"text"`: "text", `""`: "", `"\u0041\n"`: "A\n", `"\ud800"`: "\uFFFD"} {
		if got, ok := strictjson.String(json.RawMessage(value)); got != want || !ok {
			t.Errorf("%s: got %q, %t, want %q", value, got, ok, want)
		}
	}
	for _, value := range []string{``, `null`, `1`, `true`, `["text"]`, `{"text":""}`} {
		if got, ok := strictjson.String(json.RawMessage(value)); got != "" || ok {
			t.Errorf("%s: got %q, %t, want nothing", value, got, ok)
		}
	}
}

func TestArray_takesArraysOnly(t *testing.T) {
	for value, want := range map[string]int{
		`[]`: 0, `[1,"2",null,[3]]`: 4, `[1,2,3,4,5,6,7,8]`: 6, // one too many is enough to know
		``: -1, `null`: -1, `"[]"`: -1, `{"0":1}`: -1, // no array
	} {
		if got, ok := strictjson.Array(json.RawMessage(value), 5); ok != (want >= 0) || len(got) != max(want, 0) {
			t.Errorf("%s: got %s, %t, want %d elements", value, got, ok, want)
		}
	}
}

// What is accepted is an object for encoding/json too, with as many members and
// the same values under the same names; what is not is an error that repeats no
// more of the input than a name.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"a":1,"a":2},"b":[{}]}`, `{"\u0061":1,"a":2}`, `[]`, `null`, `{"a":"\ud800"}`, `{"":""}`,
		` { "a" : "b" } `, `{"a":1}x`, "{\"a\":\"\xff\"}", `{"a":1e400}`, `{"a":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := strictjson.Object(data)
		if err != nil {
			if members != nil || len(err.Error()) > 500 || !utf8.ValidString(err.Error()) {
				t.Fatalf("%q: got %v and the error %q", data, members, err)
			}
			return
		}
		var lenient map[string]json.RawMessage
		if err := json.Unmarshal(data, &lenient); err != nil {
			t.Fatalf("%q is accepted, but encoding/json says %v", data, err)
		}
		if len(lenient) != len(members) {
			t.Fatalf("%q: got %d members, want %d", data, len(members), len(lenient))
		}
		for _, member := range members {
			if got, want := string(member.Value), string(lenient[member.Name]); got != want {
				t.Fatalf("%q: member %q: got %s, want %s", data, member.Name, got, want)
			}
		}
	})
}
