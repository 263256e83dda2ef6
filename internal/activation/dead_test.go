package activation_test

import (
	"slices"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

func TestRun_endsSoonWithoutHammeringWhereNobodyIsThere(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		refused seguratest.Refused
		timeout time.Duration
		want    apisecret.Code
	}{
		"refused": {seguratest.NotListening, 5 * time.Second, apisecret.UpstreamUnreachable},
		"silent":  {seguratest.SilentOnAccept, 400 * time.Millisecond, apisecret.UpstreamTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seguratest.Options{AnyIdentifier: true}, attemptTimeout(row.timeout))
			w.enable(t.Context(), 1) // so that there is a token
			if err := w.RefuseConnections(row.refused); err != nil {
				t.Fatal(err)
			}

			result := w.enable(t.Context(), span(1000, 2999)...)

			untried := 0
			for _, item := range result.Items {
				if item.Error == nil || item.Error.Code != row.want || !item.Error.Retryable {
					t.Fatalf("got %+v (%v), want %s", item, item.Error, row.want)
				}
				if item.Attempts == 0 {
					untried++
				}
			}
			if untried < 1900 || w.Connections() > 200 {
				t.Errorf("got %d of 2000 without an attempt, %d connections", untried, w.Connections())
			}
			w.requireAudit(t, result)
		})
	}
}

func TestRun_endsSoonWhereNoTokenIsGoodEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(enableCalls, seguratest.TokenRefused(seguratest.RefusedByGateway), -1)

	result := w.enable(t.Context(), span(1000, 1499)...)

	if got := result.FailedByCode()[apisecret.AuthenticationFailed]; got != 500 {
		t.Errorf("got %v, want 500 times authentication_failed", result.FailedByCode())
	}
	if calls := w.Count(seguratest.KindEnable); calls > 60 || w.Count(seguratest.KindToken) != 2 {
		t.Errorf("got %d calls and %d token calls", calls, w.Count(seguratest.KindToken))
	}
}

// What is under way when Segura is found dead is not tried to its end.
func TestRun_endsTheTriesUnderWayWhereNobodyIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true}, attemptTimeout(3*time.Second))
	w.runner.Concurrency, w.runner.Patience, w.runner.Retry = 4, 0, segura.Retry{MaxAttempts: 2}
	w.Fail(callsFor(1003), seguratest.Hang(), -1)
	w.Fail(enableCalls, seguratest.CloseConnection(), -1)

	result := w.enable(t.Context(), 1003, 1000, 1001, 1002)

	if got := result.Items[0]; got.Attempts != 1 || got.Error == nil || got.Error.Code != apisecret.UpstreamTimeout {
		t.Errorf("got %+v (%v), want one attempt: the others found nobody meanwhile", got, got.Error)
	}
}

// One that is ill does not end the request for the others.
func TestRun_isNotEndedByOneSickIdentifier(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]seguratest.Fault{
		"silent":          seguratest.Hang(), // and tried for as long as an attempt may take
		"reset":           seguratest.CloseConnection(),
		"its token":       seguratest.TokenRefused(seguratest.RefusedByGateway),
		"out of order":    seguratest.Gateway503(),
		"gateway timeout": seguratest.Gateway504(),
		"not found":       seguratest.NotFound1005(),
		"denied":          seguratest.GatewayForbiddenIP403(),
		"garbage":         seguratest.Binary(),
		"cut short":       seguratest.CutShort(),
	} {
		timeout := 10 * time.Second
		if name == "silent" {
			timeout = 4 * time.Second
		}
		for _, concurrency := range []int{1, 8} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seguratest.Options{AnyIdentifier: true}, attemptTimeout(timeout))
				w.runner.Concurrency = concurrency
				w.runner.Patience = 0
				w.runner.Retry = segura.Retry{MaxAttempts: 1}
				for _, sick := range []int64{1000, 1001, 1030} {
					w.Fail(callsFor(sick), fault, -1)
				}

				result := w.enable(t.Context(), span(1000, 1059)...)

				for _, item := range result.Items {
					sick := item.Identifier == 1000 || item.Identifier == 1001 || item.Identifier == 1030
					if (item.Outcome == apisecret.Failed) != sick || item.Attempts == 0 || item.Attempts > 3 { // one, and two for refusals
						t.Errorf("concurrency %d: got %+v (%v)", concurrency, item, item.Error)
					}
				}
				w.requireAudit(t, result)
			})
		}
	}
}

// Whatever a reply says, somebody is there.
func TestRun_isNotEndedWhereAnybodyReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Concurrency = 1
	w.runner.Patience = 0
	w.runner.Retry = segura.Retry{MaxAttempts: 1}
	w.Fail(seguratest.Match{Kind: seguratest.KindEnable, When: func(r seguratest.Request) bool { return r.Identifier%2 == 0 }}, seguratest.CloseConnection(), -1)
	w.Fail(enableCalls, seguratest.Gateway503(), -1)

	result := w.enable(t.Context(), span(1000, 1039)...)

	for _, item := range result.Items {
		if item.Attempts != 1 {
			t.Errorf("got %+v (%v), want it tried", item, item.Error)
		}
	}
}

func TestRun_hasAllAttemptsForTheIdentifierAfterAFailedOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Concurrency = 1
	w.Fail(callsFor(1000), seguratest.CloseConnection(), -1)
	w.Fail(callsFor(1001), seguratest.CloseConnection(), 3)

	result := w.enable(t.Context(), 1000, 1001, 1002)

	w.requireItems(t, result, failed(1000, 4, apisecret.UpstreamUnreachable, true), done(1001, apisecret.Enabled, 4), done(1002, apisecret.Enabled, 1))
}

func TestRun_triesAgainInTheNextRequestWhereNobodyWasThere(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]seguratest.Refused{"not listening": seguratest.NotListening, "reset": seguratest.ResetOnAccept, "no TLS": seguratest.PlainOnAccept} {
		w := newWorld(t, seguratest.Options{})
		w.runner.Patience = time.Minute
		w.enable(t.Context(), 6)
		if err := w.RefuseConnections(how); err != nil {
			t.Fatal(err)
		}

		first := w.enable(t.Context(), 5)
		if err := w.AcceptConnections(); err != nil {
			t.Fatal(err)
		}
		second := w.enable(t.Context(), 5)

		got := []summary{summarize(first.Items[0]), summarize(second.Items[0])}
		if want := []summary{failed(5, 4, apisecret.UpstreamUnreachable, true), done(5, apisecret.Enabled, 1)}; !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestRun_goesOnWhenSeguraComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Patience = time.Minute
	w.enable(t.Context(), 1)
	if err := w.RefuseConnections(seguratest.NotListening); err != nil {
		t.Fatal(err)
	}
	back := time.AfterFunc(1200*time.Millisecond, func() { _ = w.AcceptConnections() })
	defer back.Stop()

	result := w.enable(t.Context(), span(1000, 1199)...)

	if got := result.Count(apisecret.Enabled); got < 180 {
		t.Errorf("got %d of 200 enabled: %v", got, result.FailedByCode())
	}
	for _, item := range result.Items[50:] {
		if item.Outcome != apisecret.Enabled {
			t.Errorf("got %+v (%v), want it enabled after Segura came back", item, item.Error)
		}
	}
}

func TestRun_stillEndsBeforeItsDeadlineWhereNobodyIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true}, attemptTimeout(10*time.Second))
	w.runner.Patience = time.Minute
	w.enable(t.Context(), 1)
	_ = w.RefuseConnections(seguratest.SilentOnAccept)
	ctx := withDeadlineOf(t, 2*time.Second)

	result := w.enable(ctx, span(1000, 1019)...)

	if ctx.Err() != nil {
		t.Error("it did not end by itself")
	}
	for _, item := range result.Items {
		if item.Error == nil || !item.Error.Retryable {
			t.Errorf("got %+v (%v), want a retryable failure", item, item.Error)
		}
	}
	w.requireAudit(t, result)
}
