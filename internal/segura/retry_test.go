package segura

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter_readsEveryForm(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 15, 30, 500e6, time.UTC)
	const retry, reset, resetAt, day = "Retry-After", "RateLimit-Reset", "X-RateLimit-Reset", 24 * time.Hour
	for _, row := range []struct {
		headers map[string]string
		want    time.Duration
	}{
		{map[string]string{retry: "2"}, 2 * time.Second}, {map[string]string{retry: "0"}, 0}, {map[string]string{retry: "1.5"}, 1500 * time.Millisecond},
		{map[string]string{retry: "-3"}, 0}, {map[string]string{retry: "NaN"}, 0}, {map[string]string{retry: "soon"}, 0}, {map[string]string{retry: ""}, 0},
		{map[string]string{retry: "Inf"}, day}, {map[string]string{retry: "1e30"}, day}, {map[string]string{retry: "999999999"}, day},
		{map[string]string{retry: "Sat, 21 Nov 2026 08:16:00 GMT"}, 29500 * time.Millisecond}, {map[string]string{retry: "Sat, 21 Nov 2026 08:15:00 GMT"}, 0},
		{map[string]string{retry: "Saturday, 21-Nov-26 08:16:00 GMT"}, 29500 * time.Millisecond}, {map[string]string{retry: "Sat, 21 Nov 2099 08:15:00 GMT"}, day},
		{map[string]string{reset: "7"}, 7 * time.Second}, {map[string]string{reset: "-7"}, 0}, {map[string]string{reset: "later"}, 0},
		{map[string]string{resetAt: "1795248940"}, 9500 * time.Millisecond}, {map[string]string{resetAt: "1795248920"}, 0}, {map[string]string{resetAt: "60"}, 0},
		{map[string]string{resetAt: "9999999999"}, day}, {map[string]string{"Other": "5"}, 0}, {nil, 0},
		{map[string]string{retry: "1", reset: "2", resetAt: "1795248940"}, time.Second},
		{map[string]string{retry: "soon", reset: "2", resetAt: "1795248940"}, 2 * time.Second},
		{map[string]string{retry: "soon", reset: "later", resetAt: "1795248940"}, 9500 * time.Millisecond},
	} {
		h := http.Header{}
		for name, value := range row.headers {
			h.Set(name, value)
		}
		if got := retryAfter(h, now); got != row.want {
			t.Errorf("%v: got %s, want %s", row.headers, got, row.want)
		}
	}
}
