package bench

import (
	"cmp"
	"slices"
)

// median returns the middle value, or the mean of the two in the middle; the
// zero value of none.
func median[T interface {
	cmp.Ordered
	~int64 | ~float64
}](values []T) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// medianOf returns the median of what pick takes from each.
func medianOf[E any, T interface {
	cmp.Ordered
	~int64 | ~float64
}](list []E, pick func(E) T) T {
	values := make([]T, 0, len(list))
	for _, e := range list {
		values = append(values, pick(e))
	}
	return median(values)
}
