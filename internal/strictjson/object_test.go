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

	want := []strictjson.Member{
		{Name: "b", Value: json.RawMessage(`1`)},
		{Name: "a", Value: json.RawMessage(`"x\u0041"`)},
		{Name: "A", Value: json.RawMessage(`[1, 2]`)},
		{Name: "bb", Value: json.RawMessage(`{"b":1,"b":2}`)},
		{Name: "", Value: json.RawMessage(`null`)},
	}
	same := func(a, b strictjson.Member) bool { return a.Name == b.Name && string(a.Value) == string(b.Value) }
	if err != nil || !slices.EqualFunc(got, want, same) {
		t.Errorf("%s: got %s and %v, want %s", data, got, err, want)
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

func TestObject_handsOutCopies(t *testing.T) {
	data := []byte(`{"a":"before"}`)
	members, err := strictjson.Object(data)
	if err != nil {
		t.Fatal(err)
	}

	copy(data, strings.Repeat("x", len(data)))

	if got := string(members[0].Value); got != `"before"` {
		t.Errorf("after the caller's buffer was used again: got %s, want \"before\"", got)
	}
}

func TestObject_refusesWhatIsNoSingleObject(t *testing.T) {
	for _, row := range []struct {
		data string
		want error
	}{
		{"", strictjson.ErrNotJSON},
		{" ", strictjson.ErrNotJSON},
		{"{", strictjson.ErrNotJSON},
		{`{"a":1`, strictjson.ErrNotJSON},
		{`{"a":1}}`, strictjson.ErrNotJSON},
		{`{"a":1}{"b":1}`, strictjson.ErrNotJSON},
		{`{"a":1} x`, strictjson.ErrNotJSON},
		{`{"a":1,}`, strictjson.ErrNotJSON},
		{`{a:1}`, strictjson.ErrNotJSON},
		{`{'a':1}`, strictjson.ErrNotJSON},
		{`{"a":01}`, strictjson.ErrNotJSON},
		{`{"a":NaN}`, strictjson.ErrNotJSON},
		{"{\"a\":\"line\nbreak\"}", strictjson.ErrNotJSON},
		{"\ufeff{}", strictjson.ErrNotJSON},
		{strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), strictjson.ErrNotJSON},
		{"[]", strictjson.ErrNotObject},
		{`[{"a":1}]`, strictjson.ErrNotObject},
		{`"{}"`, strictjson.ErrNotObject},
		{"1", strictjson.ErrNotObject},
		{"null", strictjson.ErrNotObject},
		{"true", strictjson.ErrNotObject},
		{`{"a" 1}`, strictjson.ErrNotJSON},
		{`{"a":1}]`, strictjson.ErrNotJSON},
		{`{"a":1}//`, strictjson.ErrNotJSON},
		{`/**/{"a":1}`, strictjson.ErrNotJSON},
		{`{"a":"\x41"}`, strictjson.ErrNotJSON},
		{"{\"a\":\"\x00\"}", strictjson.ErrNotJSON},
		{`{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", strictjson.ErrNotJSON},
		{"{\"a\":\"\xed\xa0\x80\"}", strictjson.ErrNotUTF8},
		{"{\"a\":\"\xc0\xaf\"}", strictjson.ErrNotUTF8},
		{"{\"a\":\"\xff\"}", strictjson.ErrNotUTF8},
		{"{\"\xc3\":1}", strictjson.ErrNotUTF8},
	} {
		if got, err := strictjson.Object([]byte(row.data)); !errors.Is(err, row.want) || got != nil {
			t.Errorf("%.60q: got %v and the error %v, want %v", row.data, got, err, row.want)
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

		if err == nil || members != nil {
			t.Errorf("%s: got %v and the error %v, want an error", data, members, err)
			continue
		}
		if got := err.Error(); !strings.Contains(got, `"name"`) || strings.Contains(got, "marker-1") {
			t.Errorf("%s: got the error %q, want one that names the field and repeats no value", data, got)
		}
	}
}

func TestObject_takesNamesThatDifferInCaseForTwo(t *testing.T) {
	got, err := strictjson.Object([]byte(`{"name":1,"Name":2}`))

	if err != nil || len(got) != 2 {
		t.Errorf("got %v and %v, want two members", got, err)
	}
}

func TestQuote_isPrintableASCIIOfBoundedLength(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", `""`},
		{"plain", `"plain"`},
		{"a\"b\\c", `"a\"b\\c"`},
		{"line\nbreak\r\x1b[31m", `"line\nbreak\r\x1b[31m"`},
		{"é\u202e", `"\u00e9\u202e"`},
		{"\xff", `"\xff"`},
		{strings.Repeat("a", 64), `"` + strings.Repeat("a", 64) + `"`},
		{strings.Repeat("a", 65), `"` + strings.Repeat("a", 64) + `\u2026"`},
	} {
		if got := strictjson.Quote(row.text); got != row.want {
			t.Errorf("%q: got %s, want %s", row.text, got, row.want)
		}
	}
	if got := strictjson.Quote(strings.Repeat("\u202e", 1<<16)); len(got) > 64*6+10 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("a long text: got %s", got)
	}
}

func TestString_takesStringsOnly(t *testing.T) {
	for _, row := range []struct {
		value string
		want  string
		ok    bool
	}{
		{`"text"`, "text", true},
		{`""`, "", true},
		{`"\u0041\n"`, "A\n", true},
		{`"\ud800"`, "\uFFFD", true},
		{``, "", false},
		{`null`, "", false},
		{`1`, "", false},
		{`true`, "", false},
		{`["text"]`, "", false},
		{`{"text":""}`, "", false},
	} {
		if got, ok := strictjson.String(json.RawMessage(row.value)); got != row.want || ok != row.ok {
			t.Errorf("%s: got %q, %t, want %q, %t", row.value, got, ok, row.want, row.ok)
		}
	}
}

func TestArray_takesArraysOnly(t *testing.T) {
	for _, row := range []struct {
		value string
		want  int
		ok    bool
	}{
		{`[]`, 0, true},
		{`[1,"2",null,[3]]`, 4, true},
		{`[1,2,3,4,5,6,7,8]`, 6, true}, // one too many is enough to know
		{``, 0, false},
		{`null`, 0, false},
		{`"[]"`, 0, false},
		{`{"0":1}`, 0, false},
	} {
		if got, ok := strictjson.Array(json.RawMessage(row.value), 5); len(got) != row.want || ok != row.ok {
			t.Errorf("%s: got %s, %t, want %d elements, %t", row.value, got, ok, row.want, row.ok)
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
