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

func parseSet(t *testing.T, text string) apisecret.Set {
	t.Helper()
	set, err := apisecret.ParseSet(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return set
}

func TestParseSet_listsWhatWasWritten(t *testing.T) {
	for text, want := range map[string][]apisecret.Identifier{
		"":                 nil,
		"5":                {5},
		" 5 , 7 , 9 - 10 ": {5, 7, 9, 10},
		"8-10,5,9-11,5":    {8, 9, 10, 5, 11},
		"7,5-5":            {7, 5},
		"9223372036854775806-9223372036854775807": {math.MaxInt64 - 1, math.MaxInt64},
	} {
		set := parseSet(t, text)

		if got, err := set.Identifiers(100); err != nil || !slices.Equal(got, want) || set.IsEmpty() != (len(want) == 0) {
			t.Errorf("%q: got %v and %v, empty: %t; want %v", text, got, err, set.IsEmpty(), want)
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

func TestSet_doesNotUnrollLongRanges(t *testing.T) {
	set := parseSet(t, "10-9223372036854775807,1-3")
	for i, want := range map[apisecret.Identifier]bool{
		math.MinInt64: false, 0: false, 1: true, 3: true, 4: false, 9: false, 10: true, 1 << 40: true, math.MaxInt64: true,
	} {
		if got := set.Contains(i); got != want {
			t.Errorf("%d in 10-9223372036854775807,1-3: got %t, want %t", i, got, want)
		}
	}
	if got, err := set.Identifiers(10_000); !errors.Is(err, apisecret.ErrTooMany) {
		t.Errorf("got a list of %d and %v", len(got), err)
	}
}

func TestSet_isLikeAPlainList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var want []apisecret.Identifier
		var parts []string
		for range 1 + random.IntN(8) {
			first := apisecret.Identifier(1 + random.IntN(30))
			last := first + apisecret.Identifier(max(0, random.IntN(24)-12))
			parts = append(parts, fmt.Sprintf("%d-%d", first, last))
			for i := first; i <= last; i++ {
				if !slices.Contains(want, i) {
					want = append(want, i)
				}
			}
		}
		text := strings.Join(parts, ",")

		set := parseSet(t, text)

		for i := apisecret.Identifier(-1); i <= 45; i++ {
			if got := set.Contains(i); got != slices.Contains(want, i) {
				t.Fatalf("%d in %s: got %t", i, text, got)
			}
		}
		if got, err := set.Identifiers(len(want)); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s: got %v and %v, want %v", text, got, err, want)
		}
		if got, err := set.Identifiers(len(want) - 1); !errors.Is(err, apisecret.ErrTooMany) {
			t.Fatalf("%s, one fewer allowed than it has: got %v and %v", text, got, err)
		}
	}
}
