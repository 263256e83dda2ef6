package credentials_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/credentials"
)

// expiring is a usable AWS secret with this JSON value as its expires_at.
func expiring(value string) string {
	return strings.TrimSuffix(secret("a"), "}") + `,"expires_at":` + value + `}`
}

func TestReadExpiry_takesATimeOfRFC3339AndNothingElse(t *testing.T) {
	at := time.Date(2027, 3, 31, 22, 0, 0, 0, time.UTC)
	for value, want := range map[string]struct {
		at         time.Time
		mended     bool
		unreadable bool
	}{
		`"2027-03-31T22:00:00Z"`:        {at: at},
		`"2027-04-01T00:00:00+02:00"`:   {at: at},
		`"2027-03-31T22:00:00.000Z"`:    {at: at},
		`" 2027-03-31T22:00:00Z\n"`:     {at: at, mended: true},
		`null`:                          {},
		`""`:                            {},
		`"\u00a0"`:                      {mended: true},
		`"2027-03-31"`:                  {unreadable: true},
		`"31/03/2027 22:00"`:            {unreadable: true},
		`"2027-02-30T00:00:00Z"`:        {unreadable: true},
		`"\"2027-03-31T22:00:00Z\""`:    {unreadable: true},
		`"MARKER"`:                      {unreadable: true},
		`1806530400`:                    {unreadable: true},
		`{"at":"2027-03-31T22:00:00Z"}`: {unreadable: true},
	} {
		got, mended, err := credentials.ReadExpiry([]byte("\ufeff" + expiring(value)))

		if !got.Equal(want.at) || mended != want.mended || (err != nil) != want.unreadable {
			t.Errorf("%s: got %v, mended %t, %v; want %+v", value, got, mended, err, want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "expires_at ") || strings.Contains(err.Error(), "MARKER")) {
			t.Errorf("%s: got %q, want an error that names the field and repeats no value", value, err)
		}
	}
}

func TestClient_tellsWhenItsAccessKeyExpiresEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, log := given(secret("a"))
		var told []time.Time
		source.OnExpiry = func(_ context.Context, at time.Time) { told = append(told, at) }
		first := must(t, source)
		before := len(told)

		manager.plays(expiring(`"2027-03-31T00:00:00Z"`))
		time.Sleep(ttl)
		second := must(t, source)
		must(t, source) // from the cache
		manager.plays(noNetwork)
		time.Sleep(ttl)
		must(t, source) // the expired copy

		want := time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
		if before != 0 || len(told) != 3 || !told[0].Equal(want) || !told[2].Equal(want) {
			t.Errorf("got told %d times before it was known, and %v; want 0, and three times %v", before, told, want)
		}
		if second != first {
			t.Error("got another client, and a new token, for a date alone")
		}
		if got := log.String(); strings.Contains(got, "expires_at") {
			t.Errorf("got the log %s", got)
		}
	})
}

func TestClient_warnsOnceOfAnExpiryThatCannotBeReadAndChangesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, log := given(secret("a"))
		first := must(t, source)
		unusable := 0
		source.OnUnusable = func(context.Context) { unusable++ }
		source.OnExpiry = func(_ context.Context, at time.Time) { t.Errorf("got told %v", at) }
		manager.plays(expiring(`"MARKER"`))

		for range 3 {
			time.Sleep(ttl)
			if must(t, source) != first {
				t.Error("got another client")
			}
		}

		if got := log.String(); unusable != 0 || strings.Count(got, "expires_at") != 1 || strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"WARN"`) || strings.Contains(got, "MARKER") {
			t.Errorf("got %d unusable and the log %s", unusable, got)
		}
	})
}
