package activation_test

import (
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
			if err := w.AcceptConnections(); err != nil {
				t.Fatal(err)
			}
			next := w.enable(t.Context(), 5)

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
			if next.Count(apisecret.Enabled) != 1 {
				t.Errorf("got %+v of the next request, when Segura was there again", next)
			}
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
	w.Runner.Concurrency, w.Runner.Patience, w.Runner.Retry = 4, 0, segura.Retry{MaxAttempts: 2}
	w.Fail(callsFor(1003), seguratest.Hang(), -1)
	w.Fail(enableCalls, seguratest.CloseConnection(), -1)

	result := w.enable(t.Context(), 1003, 1000, 1001, 1002)

	if got := summarize(result.Items[0]); got != failed(1003, 1, apisecret.UpstreamTimeout, true) {
		t.Errorf("got %+v, want one attempt: the others found nobody meanwhile", got)
	}
}

// One that is ill does not end the request for the others: whatever a reply says,
// somebody is there.
func TestRun_isNotEndedByOneSickIdentifier(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		sick, others seguratest.Fault
	}{
		"reset":                      {seguratest.CloseConnection(), seguratest.Normally()},
		"reset, the others fail too": {seguratest.CloseConnection(), seguratest.Gateway503()},
		// Its second refusal comes when others had the fresh token accepted.
		"its token":                  {seguratest.TokenRefused(seguratest.RefusedByGateway).After(50 * time.Millisecond), seguratest.Normally().After(20 * time.Millisecond)},
		"out of time at the gateway": {seguratest.Gateway504(), seguratest.Gateway504()},
		"no reply that can be read":  {seguratest.Binary(), seguratest.Binary()},
	} {
		for _, concurrency := range []int{1, 8} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seguratest.Options{AnyIdentifier: true})
				w.Runner.Concurrency, w.Runner.Patience, w.Runner.Retry = concurrency, 0, segura.Retry{MaxAttempts: 1}
				for _, sick := range []int64{1000, 1001, 1030} {
					w.Fail(callsFor(sick), row.sick, -1)
				}
				w.Fail(enableCalls, row.others, -1)

				result := w.enable(t.Context(), span(1000, 1059)...)

				for _, item := range result.Items {
					if item.Attempts == 0 || item.Attempts > 3 { // one, and two for refusals
						t.Errorf("concurrency %d: got %+v (%v), want it tried", concurrency, item, item.Error)
					}
				}
			})
		}
	}
}

func TestRun_goesOnWhenSeguraComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Runner.Patience = time.Minute
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
