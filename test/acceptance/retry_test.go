package acceptance

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

func TestAttempts_areAsManyAsConfigured(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		configured string
		faults     int
		outcome    string
		attempts   int
	}{
		{unset, 3, "enabled", 4}, {unset, 4, "failed", 4},
		{"1", 1, "failed", 1}, {"1", 0, "enabled", 1},
		{"2", 1, "enabled", 2}, {"2", 2, "failed", 2},
		{"6", 5, "enabled", 6}, {"6", 6, "failed", 6},
	} {
		t.Run(fmt.Sprintf("%q, %d faults", row.configured, row.faults), func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{env: map[string]string{"SEGURA_MAX_ATTEMPTS": row.configured}})
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Gateway502(), row.faults)
			got := w.one(5)
			if got.Outcome != row.outcome || got.Attempts != row.attempts {
				t.Errorf("got %s after %d attempts, want %s after %d", got.Outcome, got.Attempts, row.outcome, row.attempts)
			}
			if n := w.segura.CountFor(seguratest.KindEnable, 5); n != row.attempts {
				t.Errorf("Segura got %d calls, want %d", n, row.attempts)
			}
		})
	}
}

func TestAttempts_countARefusedConnection(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]seguratest.Refused{"not listening": seguratest.NotListening, "reset on accept": seguratest.ResetOnAccept, "no TLS": seguratest.PlainOnAccept} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{})
			if err := w.segura.RefuseConnections(how); err != nil {
				t.Fatal(err)
			}
			is(t, w.one(5), name, "failed", "upstream_unreachable", true, 4)
			if err := w.segura.AcceptConnections(); err != nil {
				t.Fatal(err)
			}
			is(t, w.one(5), "afterwards", "enabled", "", false, 1)
			w.counts("afterwards", 1, 1, 1)
		})
	}
}

func TestAttemptTimeout_limitsOneAttempt(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	env := map[string]string{"SEGURA_ATTEMPT_TIMEOUT": limit.String(), "SEGURA_MAX_ATTEMPTS": "2", "AWS_MAX_ATTEMPTS": "1"}
	const usual = 10 * time.Second // where it is not configured
	about := func(t *testing.T, inv invocation, attempts time.Duration) {
		t.Helper()
		if inv.Duration < attempts*limit || inv.Duration > usual {
			t.Errorf("took %v, want %d times %v and a little", inv.Duration, attempts, limit)
		}
	}
	t.Run("of a call", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: env})
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
		inv := w.enable(5)
		is(t, inv.result.Results[0], "hang", "failed", "upstream_timeout", true, 2)
		about(t, inv, 2)
	})
	t.Run("of a slow but steady reply", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: env})
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.SlowDrip(40*time.Millisecond), -1)
		inv := w.enable(5)
		is(t, inv.result.Results[0], "drip", "failed", "upstream_timeout", true, 2)
		about(t, inv, 2)
	})
	t.Run("of a silent handshake", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: env, before: func(w *world) {
			// The token comes from elsewhere, so that no connection is there yet.
			silent := seguratest.Start(w.t, seguratest.Options{})
			_ = silent.RefuseConnections(seguratest.SilentOnAccept)
			w.putSecret(map[string]any{"base_url": silent.URL(), "token_url": w.segura.TokenURL()})
		}})
		inv := w.enable(5)
		is(t, inv.result.Results[0], "silence", "failed", "upstream_timeout", true, 2)
		about(t, inv, 2)
	})
	t.Run("of a token call", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: env})
		w.segura.RevokeTokens()
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Hang(), -1)
		inv := w.enable(5)
		is(t, inv.result.Results[0], "hang", "failed", "upstream_timeout", true, 1)
		w.counts("hang", 3, 1, 1)
		about(t, inv, 2)
	})
	t.Run("of Secrets Manager", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: env, before: func(w *world) { w.secrets.Fail("hang", -1) }})
		inv := w.enable(5)
		is(t, inv.result.Results[0], "hang", "failed", "credentials_unavailable", true, 0)
		about(t, inv, 1)
	})
}

func TestAttemptTimeout_isTenSecondsUnlessConfigured(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}, timeout: 30 * time.Second})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), 1)
	inv := w.enable(5)
	is(t, inv.result.Results[0], "hang", "failed", "upstream_timeout", true, 1)
	if inv.Duration < 9900*time.Millisecond || inv.Duration > 19*time.Second {
		t.Errorf("took %v, want 10 s", inv.Duration)
	}
}

func TestRateLimit_isWaitedOutAsTheGatewayAsksWhereItFits(t *testing.T) {
	t.Parallel()
	soon := func() time.Time { return time.Now().Add(4 * time.Second).Truncate(time.Second).UTC() }
	table := map[string]func() (name, value string, until time.Time){
		"Retry-After": func() (string, string, time.Time) { return "Retry-After", "2", time.Time{} },
		"Retry-After, a date": func() (string, string, time.Time) {
			until := soon()
			return "Retry-After", until.Format("Mon, 02 Jan 2006 15:04:05 GMT"), until
		},
		"RateLimit-Reset": func() (string, string, time.Time) { return "RateLimit-Reset", "2", time.Time{} },
		"X-RateLimit-Reset": func() (string, string, time.Time) {
			until := soon()
			return "X-RateLimit-Reset", strconv.FormatInt(until.Unix(), 10), until
		},
	}
	for about, header := range table {
		for _, kind := range []seguratest.Kind{seguratest.KindEnable, seguratest.KindToken} {
			t.Run(fmt.Sprintf("%s to a %s request", about, kind), func(t *testing.T) {
				t.Parallel()
				w := start(t, setup{})
				if kind == seguratest.KindToken {
					w.segura.RevokeTokens()
				}
				name, value, until := header()
				w.segura.Fail(seguratest.Match{Kind: kind}, seguratest.Gateway429().WithHeader(name, value), 1)
				is(t, w.one(5), about, "enabled", "", false, 2)
				requests := w.segura.Requests(kind)
				again := requests[len(requests)-1].Time
				if limited := requests[len(requests)-2].Time; until.IsZero() {
					until = limited.Add(2 * time.Second)
				}
				if late := again.Sub(until); late < 0 || late > 8*time.Second {
					t.Errorf("the next request came %v after the time that %s: %s asks for", late, name, value)
				}
			})
		}
	}
}

func TestRateLimit_isNotWaitedOutWhereItDoesNotFit(t *testing.T) {
	t.Parallel()
	table := []struct{ name, value string }{
		{"Retry-After", "3600"}, {"Retry-After", "99999999999999999999"}, {"RateLimit-Reset", "60"},
		{"Retry-After", "20"}, // longer than the 20 s there are, less the reserve
		{"X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)},
		{"Retry-After", time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
	}
	for _, row := range table {
		t.Run(row.name+" "+row.value, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
			w.segura.Fail(seguratest.Match{Identifier: 1001}, seguratest.Gateway429().WithHeader(row.name, row.value), -1)
			inv := w.enable(1001, 1002, 1003)
			got := inv.result.Results[0]
			is(t, got, "the one that is limited", "failed", "rate_limited", true, got.Attempts)
			if got.Attempts < 1 || got.Attempts > 4 || inv.Duration > 15*time.Second {
				t.Errorf("got %d attempts in %v, want an early end", got.Attempts, inv.Duration)
			}
			for _, other := range inv.result.Results[1:] {
				is(t, other, "the others", "enabled", "", false, 1)
			}
		})
	}
}

func TestRateLimit_withoutAUsableTimeIsWaitedOutByBackoff(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	for i, value := range []string{"", "soon", "-5", "0", "NaN", "Inf", "1e309", "-Inf"} {
		for j, name := range []string{"Retry-After", "RateLimit-Reset", "X-RateLimit-Reset"} {
			identifier := int64(1001 + 10*i + j)
			w.segura.Fail(seguratest.Match{Identifier: identifier}, seguratest.Gateway429().WithHeader(name, value), 1)
			inv := w.enable(identifier)
			got := inv.result.Results[0]
			if value == "Inf" || value == "1e309" {
				continue // for ever: an end without another attempt is as good
			}
			is(t, got, name+": "+value, "enabled", "", false, 2)
			if inv.Duration > 10*time.Second {
				t.Errorf("%s: %s: took %v", name, value, inv.Duration)
			}
		}
	}
}

// grace keeps Lambda from ending an invocation at its deadline. Where all waits are
// for ever, what answers has looked at the deadline by itself, and a slow machine
// may be late with it.
func grace() runtimeapi.InvokeOption { return runtimeapi.WithGrace(time.Minute) }

func TestDeadline_theReplyAlwaysGoesOut(t *testing.T) {
	t.Parallel()
	hang := seguratest.Hang()
	table := []struct {
		about string
		with  func(w *world)
		code  string // several, separated by |
	}{
		{"the call hangs", func(w *world) { w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, hang, -1) }, "deadline_exceeded"},
		{"the call hangs half-way", func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.HangMidBody(), -1)
		}, "deadline_exceeded"},
		{"the token call hangs", func(w *world) {
			w.segura.RevokeTokens()
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, hang, -1)
		}, "deadline_exceeded"},
		{"the handshake hangs", func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) }, "deadline_exceeded"},
		{"Secrets Manager hangs", func(w *world) {
			w.secrets.Fail("marked_for_deletion", 1)
			w.enable(1)
			w.secrets.Fail("hang", -1)
		}, "deadline_exceeded"},
	}
	for _, row := range table {
		for _, timeout := range []time.Duration{time.Second, 3 * time.Second} {
			t.Run(fmt.Sprintf("%s, %v", row.about, timeout), func(t *testing.T) {
				t.Parallel()
				w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
				row.with(w)
				inv := w.invoke(list("enable", upTo(1001, 1020)...), runtimeapi.WithTimeout(timeout), grace())
				if inv.TimedOut {
					return // the world complains
				}
				if inv.Duration < timeout/2 {
					t.Errorf("took %v of %v: it gave up early", inv.Duration, timeout)
				}
				if len(inv.result.Results) != 20 || inv.result.Failed != 20 || inv.ErrorType != "Segura.TransientError" {
					t.Fatalf("got %s %.500s", inv.ErrorType, inv.text)
				}
				for _, got := range inv.result.Results {
					is(t, got, row.about, "failed", row.code, true, got.Attempts)
				}
				w.segura.ClearFaults()
			})
		}
	}
}

func TestDeadline_doesNotHideAnIdentifiersOwnFault(t *testing.T) {
	t.Parallel()
	t.Run("an attempt that ran out of time", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{timeout: 6 * time.Second, env: map[string]string{"SEGURA_ATTEMPT_TIMEOUT": "1s", "SEGURA_MAX_ATTEMPTS": "50"}})
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
		got := w.invoke(list("enable", 5), grace()).result.Results[0]
		is(t, got, "hang", "failed", "upstream_timeout", true, max(2, min(6, got.Attempts)))
	})
	t.Run("a fault that repeats", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{timeout: 3 * time.Second, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "50"}})
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Unexpected500(), -1)
		got := w.invoke(list("enable", 5), grace()).result.Results[0]
		is(t, got, "500", "failed", "upstream_error", true, got.Attempts)
		if got.Error != nil && got.Error.HTTPStatus != 500 {
			t.Errorf("got %+v, want http_status 500", got.Error)
		}
	})
	t.Run("a fault, then a hang until the end", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{timeout: 6 * time.Second})
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Gateway502(), 1)
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
		is(t, w.invoke(list("enable", 5), grace()).result.Results[0], "502", "failed", "upstream_invalid_response", true, 2)
	})
}

func TestDeadline_cutsALongRequestAndTellsOfEachIdentifier(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		timeout: 3 * time.Second,
		segura:  seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 100 * time.Millisecond}},
	})
	inv := w.invoke(list("enable", upTo(1001, 2000)...), grace())
	r := inv.result
	if r.Requested != 1000 || *r.Enabled+*r.AlreadyEnabled+r.Failed != 1000 {
		t.Errorf("the counts do not add up: %.300s", inv.text)
	}
	if *r.Enabled < 8 || r.FailedByCode["deadline_exceeded"] < 500 {
		t.Errorf("got %d enabled, %v failed; want some, and most deadline_exceeded", *r.Enabled, r.FailedByCode)
	}
	if r.Outcome != "partially_succeeded" || inv.ErrorType != "Segura.TransientError" {
		t.Errorf("got %s, %s; want partially_succeeded, Segura.TransientError", r.Outcome, inv.ErrorType)
	}
	if got := auditLines(inv.Logs); got != 1000 {
		t.Errorf("got %d audit lines, want 1000", got)
	}
	untouched := 0
	for _, one := range r.Results {
		if one.Attempts == 0 {
			untouched++
		}
	}
	if untouched == 0 {
		t.Error("no identifier has 0 attempts, though most were never called for")
	}
}

func TestDeadline_isKeptByTheAPIFunctionToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, timeout: 2 * time.Second})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
	got := w.httpEvent(stage.HTTPEvent("POST", "/api-secrets/5/enable", "", nil), grace())
	if got.status != 504 || got.problem.Code != "deadline_exceeded" || !got.problem.Retryable || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %+v, want 504 deadline_exceeded with Retry-After", got.status, got.problem)
	}
}
