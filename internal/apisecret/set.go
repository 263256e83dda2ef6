package apisecret

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Set is a set of identifiers, kept as the numbers and ranges that it was
// written as, so that a range may be as long as it likes. The zero value is
// empty. A Set is never changed and may be used by several goroutines at once.
type Set struct {
	written []span // in the order of the text
	sorted  []span // by first, without overlaps
}

// span holds the identifiers from first to last, both included.
type span struct{ first, last Identifier }

// ParseSet reads identifiers and ranges such as "5,7,100-199". Spaces around
// each are allowed; the empty text is the empty set.
func ParseSet(text string) (Set, error) {
	if text == "" {
		return Set{}, nil
	}
	var s Set
	for part := range strings.SplitSeq(text, ",") {
		one, err := parseSpan(strings.Trim(part, " "))
		if err != nil {
			return Set{}, err
		}
		s.written = append(s.written, one)
	}
	s.sorted = merge(s.written)
	return s, nil
}

func parseSpan(text string) (span, error) {
	from, to, isRange := strings.Cut(text, "-")
	first, err := ParseIdentifier(strings.Trim(from, " "))
	if err != nil {
		return span{}, fmt.Errorf("%q is neither an identifier nor a range: %w", text, err)
	}
	if !isRange {
		return span{first, first}, nil
	}
	last, err := ParseIdentifier(strings.Trim(to, " "))
	if err != nil {
		return span{}, fmt.Errorf("%q is neither an identifier nor a range: %w", text, err)
	}
	if last < first {
		return span{}, fmt.Errorf("the range %q ends before it begins", text)
	}
	return span{first, last}, nil
}

func merge(written []span) []span {
	spans := slices.Clone(written)
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	merged := spans[:1]
	for _, next := range spans[1:] {
		previous := &merged[len(merged)-1]
		if next.first <= previous.last {
			previous.last = max(previous.last, next.last)
			continue
		}
		merged = append(merged, next)
	}
	return merged
}

// IsEmpty reports whether the set holds no identifier.
func (s Set) IsEmpty() bool { return len(s.sorted) == 0 }

// Contains reports whether the identifier is in the set.
func (s Set) Contains(i Identifier) bool {
	at, found := slices.BinarySearchFunc(s.sorted, i, func(one span, i Identifier) int { return cmp.Compare(one.first, i) })
	return found || at > 0 && i <= s.sorted[at-1].last
}

// ErrTooMany is the error of a set with more identifiers than may be listed.
var ErrTooMany = errors.New("too many identifiers")

// Identifiers lists the set in the order it was written in, each identifier
// once. The error is ErrTooMany if there are more than limit.
func (s Set) Identifiers(limit int) ([]Identifier, error) {
	total := uint64(0)
	for _, one := range s.sorted {
		total += uint64(one.last-one.first) + 1 //nolint:gosec // G115: last is never below first, and both are positive.
		if total > uint64(limit) {              //nolint:gosec // G115: limit is a positive constant of the caller's.
			return nil, fmt.Errorf("%w: at most %d", ErrTooMany, limit)
		}
	}
	list := make([]Identifier, 0, total)
	seen := make(map[Identifier]bool, total)
	for _, one := range s.written {
		for offset := range one.last - one.first + 1 {
			if i := one.first + offset; !seen[i] {
				seen[i] = true
				list = append(list, i)
			}
		}
	}
	return list, nil
}
