package acceptance

import (
	"fmt"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

func TestAttemptTimeout_limitsOneAttempt(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	env := map[string]string{"SEGURA_ATTEMPT_TIMEOUT": limit.String(), "SEGURA_MAX_ATTEMPTS": "2", "AWS_MAX_ATTEMPTS": "1"}
	about := func(t *testing.T, inv invocation, attempts time.Duration) {
		t.Helper()
		if inv.Duration < attempts*limit || inv.Duration > attempts*limit+2*time.Second {
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
				inv := w.invoke(list("enable", upTo(1001, 1020)...), runtimeapi.WithTimeout(timeout))
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

func TestDeadline_cutsALongRequestAndTellsOfEachIdentifier(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		timeout: 3 * time.Second,
		segura:  seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 100 * time.Millisecond}},
	})
	inv := w.enable(upTo(1001, 2000)...)
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
