package window

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseTime_takesWholeSecondsWithAnOffset(t *testing.T) {
	for text, want := range map[string]string{
		"2026-12-01T08:00:00Z":      "2026-12-01T08:00:00Z",
		"2026-12-01T08:00:00-03:00": "2026-12-01T11:00:00Z",
		"2028-02-29T00:00:00+05:30": "2028-02-28T18:30:00Z",
	} {
		if got, err := ParseTime(text); err != nil || got.String() != want {
			t.Errorf("%s: got %s and %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "2026-12-01", "2026-12-01T08:00:00", "2026-12-01 08:00:00Z", "2026-12-01T08:00:00.5Z", "2027-02-29T18:00:00Z", "2026-13-01T00:00:00Z",
		"2026-12-01T24:00:00Z", "2026-12-01T08:00:60Z", "2026-12-01T08:00:00+25:00", "2026-12-01T08:00:00+0300", "1764576000", "2026-12-01T08:00:00Z\n",
	} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("%q: got %s", text, got)
		}
	}
}

func TestParseDuration_takesDaysHoursMinutesAndSeconds(t *testing.T) {
	for text, want := range map[string]Instant{
		"PT8H": 8 * 3600, "P1DT12H": 36 * 3600, "PT1M": 60, "PT90S": 90, "P2D": 2 * day, "PT1H30M5S": 5405, "P0DT1S": 1, "PT007S": 7, "P0000000000001DT0000000000001S": day + 1,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %d and %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "P", "PT", "P1DT", "PT0S", "P0D", "P1W", "P1Y", "P1M", "PT1.5H", "PT1,5H", "-PT1H", "PT-1H", "pt1h", "8h", "PT1S1H", "PT1H ", "PT1H\n",
		"PT99999999999999999999S", "P99999999999999999999D", "P106751991167301D", "PT9223372036854775807H", "PT１H",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func TestReadRequest_saysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"identifiers":[5,"6"],"for":"PT8H"}`:                                             "",
		`{"identifiers":[5],"until":"2026-12-01T18:00:00Z","from":"2026-12-01T08:00:00Z"}`: "",
		`{"for":"PT8H"}`:                "identifiers is required",
		`{"identifier":5,"for":"PT8H"}`: `unknown field "identifier"`,
		`{"identifiers":[5]}`:           "exactly one of until and for",
		`{"identifiers":[5],"for":"PT8H","until":"2026-12-01T18:00:00Z"}`: "exactly one of until and for",
		`{"identifiers":[5],"for":"8h"}`:                                  "for is not a duration",
		`{"identifiers":[5],"for":8}`:                                     "for is not a duration",
		`{"identifiers":[5],"until":null}`:                                "until is not a time",
		`{"identifiers":[],"for":"PT8H"}`:                                 "identifiers is empty",
		`{"identifiers":[5,6,7],"for":"PT8H"}`:                            "more than 2",
		`{"identifiers":["05"],"for":"PT8H"}`:                             "identifiers[0]",
		`{"identifiers":[5],"for":"PT8H","Reason":"x"}`:                   `unknown field "Reason"`,
		`{"identifiers":[5],"for":"PT8H","for":"PT9H"}`:                   "repeats",
		`{"identifiers":[5],"for":"PT8H","reason":7}`:                     "reason is not a string",
		`[]`: "not a JSON object",
	} {
		_, err := ReadRequest(ToOpen, []byte(text), "", 2)
		if got := fmt.Sprint(err); (want == "") != (err == nil) || !strings.Contains(got, want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestTimes_keepToTheLimits(t *testing.T) {
	now := At(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	at := func(offset Instant) *Instant { i := now + offset; return &i }
	for _, row := range []struct {
		name        string
		request     Request
		from, until Instant // after now
		wrong       string
	}{
		{"for, from now", Request{Length: 60}, 0, 60, ""},
		{"for counts from a past from", Request{From: at(-30), Length: 60}, 0, 30, ""},
		{"until", Request{Until: at(100)}, 0, 100, ""},
		{"later", Request{From: at(50), Length: 60}, 50, 110, ""},
		{"ends in the past", Request{Until: at(0)}, 0, 0, "in the past"},
		{"for from a past from ends in the past", Request{From: at(-60), Length: 60}, 0, 0, "in the past"},
		{"ends before it begins", Request{From: at(50), Until: at(50)}, 0, 0, "before it begins"},
		{"as long as allowed", Request{Length: day}, 0, day, ""},
		{"too long", Request{Length: day + 1}, 0, 0, "SEGURA_WINDOW_MAX_DURATION"},
		{"366 days ahead", Request{From: at(maxAhead), Length: 60}, maxAhead, maxAhead + 60, ""},
		{"further ahead", Request{From: at(maxAhead + 1), Length: 60}, 0, 0, "366 days"},
	} {
		from, until, err := row.request.times(now, day)
		if row.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), row.wrong) {
				t.Errorf("%s: got %v, want %q", row.name, err, row.wrong)
			}
			continue
		}
		if err != nil || from-now != row.from || until-now != row.until {
			t.Errorf("%s: got %d to %d and %v, want %d to %d", row.name, from-now, until-now, err, row.from, row.until)
		}
	}
}

func TestLaterEnd_keepsToTheLimits(t *testing.T) {
	const from, until, now = 1000, 2000, 1500
	at := func(i Instant) *Instant { return &i }
	for _, row := range []struct {
		name     string
		request  Request
		extended int
		now      Instant
		want     Instant
		wrong    string
	}{
		{"by", Request{Length: 60}, 0, now, until + 60, ""},
		{"until, of one that is over", Request{Until: at(3000)}, 0, 2500, 3000, ""},
		{"no later", Request{Until: at(until)}, 0, now, 0, "shortening"},
		{"still in the past", Request{Length: 60}, 0, 2500, 0, "in the past"},
		{"too long", Request{Length: day}, 0, now, 0, "SEGURA_WINDOW_MAX_DURATION"},
		{"once more", Request{Length: 60}, MaxExtensions - 1, now, until + 60, ""},
		{"too often", Request{Length: 60}, MaxExtensions, now, 0, "100 times"},
	} {
		got, err := row.request.laterEnd(&Window{From: from, Until: until, Extended: row.extended}, row.now, day)
		if got != row.want || (err == nil) != (row.wrong == "") || !strings.Contains(fmt.Sprint(err), row.wrong) {
			t.Errorf("%s: got %d and %v, want %d and %q", row.name, got, err, row.want, row.wrong)
		}
	}
}

func TestReadRequest_takesTheIDWhereItIsNotKnown(t *testing.T) {
	for _, row := range []struct{ text, id, wrong string }{
		{`{"id":"x"}`, "", ""}, {`{}`, "x", ""}, {`{}`, "", "id is required"}, {`{"id":""}`, "", "not the id"}, {`{"id":"x"}`, "x", `unknown field "id"`},
	} {
		r, err := ReadRequest(ToClose, []byte(row.text), row.id, 1)
		if (err == nil) != (row.wrong == "") || !strings.Contains(fmt.Sprint(err), row.wrong) || err == nil && r.ID != "x" {
			t.Errorf("%s with the id %q: got %+v and %v, want %q", row.text, row.id, r, err, row.wrong)
		}
	}
}

func TestTimes_openNothingWhereThereAreNoWindows(t *testing.T) {
	now := At(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC))
	_, _, opening := Request{Length: 1}.times(now, 0)
	_, extending := Request{Length: 1}.laterEnd(&Window{From: now, Until: now + 60}, now, 0)

	for _, err := range []error{opening, extending} {
		if got := fmt.Sprint(err); !strings.Contains(got, "WindowsEnabled") {
			t.Errorf("got %s, want it to say that there are no windows", got)
		}
	}
}

func TestContent_isEqualForRequestsThatMeanTheSame(t *testing.T) {
	read := func(text string) string {
		r, err := ReadRequest(ToOpen, []byte(text), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return r.digest()
	}
	a := read(`{"identifiers":[6,"5",5],"from":"2026-12-01T08:00:00Z","for":"PT1H"}`)
	if b := read(`{"identifiers":["5",6],"until":"2026-12-01T10:00:00+01:00","from":"2026-12-01T08:00:00Z"}`); a != b {
		t.Errorf("got %q and %q", a, b)
	}
	for _, other := range []string{
		`{"identifiers":[5,6],"for":"PT1H"}`, `{"identifiers":[5],"from":"2026-12-01T08:00:00Z","for":"PT1H"}`,
		`{"identifiers":[5,6],"from":"2026-12-01T08:00:00Z","for":"PT1H","reason":"x"}`,
	} {
		if read(other) == a {
			t.Errorf("%s: the same content", other)
		}
	}
}

func TestNewID_sortsByTime(t *testing.T) {
	previous := ""
	for at := range 100 {
		id := NewID(time.UnixMilli(1_790_000_000_000 + int64(at)))
		if !IsID(id) || id <= previous {
			t.Fatalf("got %s after %s", id, previous)
		}
		previous = id
	}
	if got := NewID(time.UnixMilli(1_469_918_176_385))[:10]; got != "01ARYZ6S41" { // the ULID specification's example
		t.Errorf("got %s", got)
	}
}
