package window

import (
	"cmp"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Instant is a time in whole seconds, as a Unix time.
type Instant int64

// At returns the instant of a time; parts of a second are cut off.
func At(t time.Time) Instant { return Instant(t.Unix()) }

// Now returns the instant that it is.
func Now() Instant { return At(time.Now()) }

// Time returns the instant as a time in UTC.
func (i Instant) Time() time.Time { return time.Unix(int64(i), 0).UTC() }

// String returns the instant in RFC 3339, in UTC.
func (i Instant) String() string { return i.Time().Format(time.RFC3339) }

// Errors of texts that are no time or no duration.
var (
	errTime     = errors.New(`not a time of RFC 3339 in whole seconds such as "2026-12-01T18:00:00Z"`)
	errDuration = errors.New(`not a duration of ISO 8601 in days, hours, minutes and seconds, longer than nothing, such as "PT8H"`)
)

// rfc3339 is stricter than time.Parse, which takes parts of a second.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime reads a time of RFC 3339 with Z or an offset, in whole seconds.
func ParseTime(text string) (Instant, error) {
	if !rfc3339.MatchString(text) {
		return 0, errTime
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, errTime
	}
	return At(t), nil
}

var iso8601 = regexp.MustCompile(`^P(?:(\d+)D)?(?:T((?:\d+H)?(?:\d+M)?(?:\d+S)?))?$`)

// maxSeconds bounds a duration, so that sums of it and a time stay small. It is far
// longer than any window may be.
const maxSeconds = 1000 * 366 * day

// ParseDuration reads a duration of ISO 8601 and returns its seconds. Years, months
// and weeks are no durations here, since their length is not fixed or not in use. No
// maintained library of the SDK's or Go's own reads them.
func ParseDuration(text string) (Instant, error) {
	parts := iso8601.FindStringSubmatch(text)
	if parts == nil || strings.HasSuffix(text, "T") {
		return 0, errDuration
	}
	days, tooMany := strconv.ParseInt("0"+parts[1], 10, 32)
	rest, tooLong := time.ParseDuration(strings.ToLower(cmp.Or(parts[2], "0S")))
	total := Instant(days)*day + Instant(rest/time.Second)
	if tooMany != nil || tooLong != nil || total <= 0 || total > maxSeconds {
		return 0, errDuration
	}
	return total, nil
}
