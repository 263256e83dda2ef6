package apisecret_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

func TestParseSet_listsWhatWasWritten(t *testing.T) {
	for _, row := range []struct {
		text string
		want []apisecret.Identifier
	}{
		{"", nil},
		{"5", []apisecret.Identifier{5}},
		{"5,7,100-103", []apisecret.Identifier{5, 7, 100, 101, 102, 103}},
		{" 5 , 7 , 9 - 10 ", []apisecret.Identifier{5, 7, 9, 10}},
		{"7,5", []apisecret.Identifier{7, 5}},
		{"8-10,5,9-11,5", []apisecret.Identifier{8, 9, 10, 5, 11}},
		{"5-5", []apisecret.Identifier{5}},
		{"9223372036854775806-9223372036854775807", []apisecret.Identifier{math.MaxInt64 - 1, math.MaxInt64}},
	} {
		set, err := apisecret.ParseSet(row.text)
		if err != nil {
			t.Errorf("%q: got the error %v", row.text, err)
			continue
		}

		got, err := set.Identifiers(100)

		if err != nil || !slices.Equal(got, row.want) {
			t.Errorf("%q: got %v and %v, want %v", row.text, got, err, row.want)
		}
		if set.IsEmpty() != (len(row.want) == 0) {
			t.Errorf("%q: IsEmpty: got %t", row.text, set.IsEmpty())
		}
	}
}

func TestParseSet_refusesWhatIsNoIdentifierOrRange(t *testing.T) {
	for _, text := range []string{
		" ", ",", "5,", ",5", "5,,6", "5;6", "5 6", "0", "0-5", "-5", "5-", "-", "5--6", "5-6-7", "6-5", "05", "05-06", "a", "5-a", "*",
		"1..5", "9223372036854775808", "1-9223372036854775808", "5\n", "\t5", "５",
	} {
		if set, err := apisecret.ParseSet(text); err == nil || !set.IsEmpty() {
			t.Errorf("%q: got %+v and no error", text, set)
		}
	}
}

func TestContains_doesNotUnrollLongRanges(t *testing.T) {
	set, err := apisecret.ParseSet("10-9223372036854775807,1-3")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[apisecret.Identifier]bool{
		math.MinInt64: false, -1: false, 0: false, 1: true, 3: true, 4: false, 9: false, 10: true, 1 << 40: true, math.MaxInt64: true,
	} {
		if got := set.Contains(i); got != want {
			t.Errorf("%d in 10-9223372036854775807,1-3: got %t, want %t", i, got, want)
		}
	}
}

func TestIdentifiers_refusesMoreThanMayBeListed(t *testing.T) {
	for _, row := range []struct {
		text  string
		limit int
		many  bool
	}{
		{"1-100", 100, false},
		{"1-101", 100, true},
		{"1-50,51-100", 100, false},
		{"1-50,51-101", 100, true},
		{"1-100,1-100,50-100,7", 100, false},
		{"1-9223372036854775807", 10_000, true},
		{"1-9223372036854775806,9223372036854775807", 10_000, true},
	} {
		set, err := apisecret.ParseSet(row.text)
		if err != nil {
			t.Fatal(err)
		}

		got, err := set.Identifiers(row.limit)

		if errors.Is(err, apisecret.ErrTooMany) != row.many || row.many != (got == nil) {
			t.Errorf("%s, at most %d: got %d identifiers and %v, want too many: %t", row.text, row.limit, len(got), err, row.many)
		}
	}
}

// model is a set as a plain list of all its identifiers, in the order written.
type model []apisecret.Identifier

func (m *model) add(first, last apisecret.Identifier) {
	for i := first; i <= last; i++ {
		if !slices.Contains(*m, i) {
			*m = append(*m, i)
		}
	}
}

func (m model) compare(t *testing.T, text string, set apisecret.Set, upTo apisecret.Identifier) {
	t.Helper()
	for i := apisecret.Identifier(-1); i <= upTo; i++ {
		if got, want := set.Contains(i), slices.Contains(m, i); got != want {
			t.Fatalf("%d in %s: got %t, want %t", i, text, got, want)
		}
	}
	if got, err := set.Identifiers(len(m)); err != nil || !slices.Equal(got, m) {
		t.Fatalf("%s: got %v and %v, want %v", text, got, err, m)
	}
	if len(m) > 0 {
		if got, err := set.Identifiers(len(m) - 1); !errors.Is(err, apisecret.ErrTooMany) {
			t.Fatalf("%s, one fewer allowed than it has: got %v and %v", text, got, err)
		}
	}
}

func TestSet_isLikeAPlainList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var want model
		var parts []string
		for range 1 + random.IntN(8) {
			first := apisecret.Identifier(1 + random.IntN(30))
			last := first
			if random.IntN(2) == 0 {
				last += apisecret.Identifier(random.IntN(12))
				parts = append(parts, fmt.Sprintf("%d-%d", first, last))
			} else {
				parts = append(parts, first.String())
			}
			want.add(first, last)
		}
		text := strings.Join(parts, ",")

		set, err := apisecret.ParseSet(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}

		want.compare(t, text, set, 45)
	}
}

// A set reads back from what its own members are, joined; and what is listed is
// contained, each once.
func FuzzParseSet(f *testing.F) {
	for _, seed := range []string{"", "5", "5,7,100-199", "9-3", "1-9223372036854775807", " 1 - 2 ,3", "5,5,5", "4-6,5-7,1", ",", "-", "0-1", "05"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := apisecret.ParseSet(text)
		if err != nil {
			if !set.IsEmpty() {
				t.Fatalf("%q: got %v with the error %v", text, set, err)
			}
			return
		}
		if set.Contains(0) || set.Contains(-1) || (text == "") != set.IsEmpty() {
			t.Fatalf("%q: got %v", text, set)
		}
		list, err := set.Identifiers(1000)
		if err != nil {
			return
		}
		words := make([]string, len(list))
		for at, i := range list {
			if i < 1 || !set.Contains(i) {
				t.Fatalf("%q: lists %d, but does not contain it", text, i)
			}
			words[at] = i.String()
		}
		again, err := apisecret.ParseSet(strings.Join(words, ","))
		if err != nil {
			t.Fatalf("%q: its own list is no set: %v", text, err)
		}
		if got, err := again.Identifiers(1000); err != nil || !slices.Equal(got, list) {
			t.Fatalf("%q: got %v and %v from its own list, want %v", text, got, err, list)
		}
	})
}
