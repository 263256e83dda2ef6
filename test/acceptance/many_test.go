package acceptance

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// holdUntilAtOnce keeps the first calls waiting for their replies until n of them
// are there at once.
func (w *world) holdUntilAtOnce(reply seguratest.Fault, n int) {
	all := make(chan struct{})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, reply.Until(all), n)
	go func() {
		defer close(all)
		_ = w.segura.Await(w.t.Context(), seguratest.KindEnable, n)
	}()
}

func TestConcurrency_isBoundInOneInvocation(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		configured string
		want       int
	}{{unset, 8}, {"1", 1}, {"3", 3}, {"20", 20}} {
		t.Run(row.configured, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}},
				env:    map[string]string{"SEGURA_MAX_CONCURRENCY": row.configured},
			})
			w.holdUntilAtOnce(seguratest.Normally(), row.want)
			inv := w.enable(upTo(1001, int64(1000+6*row.want))...)
			if *inv.result.Enabled != 6*row.want {
				t.Errorf("got %.300s", inv.text)
			}
			if got := w.segura.Peak(seguratest.KindEnable); got != row.want {
				t.Errorf("got %d calls at once, want %d", got, row.want)
			}
		})
	}
}

func TestConcurrency_isBoundForEachInvocationByItself(t *testing.T) {
	t.Parallel()
	for _, http1 := range []bool{false, true} {
		w := start(t, setup{
			segura:      seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}, TLS: seguratest.TLSOptions{HTTP1Only: http1}},
			env:         map[string]string{"SEGURA_MAX_CONCURRENCY": "3"},
			concurrency: 2,
		})
		w.holdUntilAtOnce(seguratest.Normally(), 6)
		var group sync.WaitGroup
		for i := range int64(2) {
			group.Go(func() { w.enable(upTo(1001+100*i, 1030+100*i)...) })
		}
		group.Wait()
		if got := w.segura.Peak(seguratest.KindEnable); got != 6 {
			t.Errorf("got %d calls at once of two invocations, want three of each", got)
		}
	}
}

func TestConcurrency_isBoundWhileCallsAreRepeatedToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 10 * time.Millisecond}},
		env:    map[string]string{"SEGURA_MAX_CONCURRENCY": "3"},
	})
	w.holdUntilAtOnce(seguratest.Gateway502(), 3)
	for _, identifier := range upTo(1001, 1060) {
		w.segura.Fail(seguratest.Match{Identifier: identifier}, seguratest.Gateway502(), 2)
	}
	inv := w.enable(upTo(1001, 1060)...)
	if *inv.result.Enabled != 60 {
		t.Errorf("got %.300s", inv.text)
	}
	if got := w.segura.Peak(seguratest.KindEnable); got != 3 {
		t.Errorf("got %d calls at once, want 3", got)
	}
}

func TestResults_keepTheOrderOfTheRequest(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Jitter: 30 * time.Millisecond}}})
	want := []int64{1030, 7, 1001, 9223372036854775807, 6, 1029, 8, 1002, 1, 1028, 5, 3, 2, 1100, 101}
	var got []int64
	for _, one := range w.enable(want...).result.Results {
		got = append(got, one.Identifier)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// succeeded counts those enabled, before or now: where an attempt was too slow,
// the next one finds its work done.
func succeeded(r stage.Result) int {
	n := 0
	for _, count := range []*int{r.Enabled, r.AlreadyEnabled, r.Disabled, r.AlreadyDisabled} {
		if count != nil {
			n += *count
		}
	}
	return n
}

func TestOneFailure_neverStopsTheOthers(t *testing.T) {
	t.Parallel()
	faults := map[string]seguratest.Fault{
		"hang": seguratest.Hang(), "reset": seguratest.ResetStream(), "garbage": seguratest.Binary(), "1005": seguratest.NotFound1005(),
		"500": seguratest.Unexpected500(), "cut short": seguratest.CutShort(), "rate limit": seguratest.Gateway429(),
		"rate limit for long": seguratest.Gateway429().WithHeader("Retry-After", "3600"),
		"token refused":       seguratest.TokenRefused(seguratest.RefusedAuthentication), "403": seguratest.GatewayForbiddenIP403(),
	}
	for name, reply := range faults {
		for _, concurrency := range []string{"1", "8"} {
			t.Run(name+", "+concurrency, func(t *testing.T) {
				t.Parallel()
				w := start(t, setup{
					timeout: 60 * time.Second,
					segura:  seguratest.Options{AnyIdentifier: true},
					env:     map[string]string{"SEGURA_MAX_CONCURRENCY": concurrency, "SEGURA_ATTEMPT_TIMEOUT": "2s", "SEGURA_MAX_ATTEMPTS": "2"},
				})
				for _, bad := range []int64{1001, 1015, 1030} { // first, in the middle, last
					w.segura.Fail(seguratest.Match{Identifier: bad}, reply, -1)
				}
				inv := w.enable(upTo(1001, 1030)...)
				if got := succeeded(inv.result); got != 27 || inv.result.Failed != 3 {
					t.Errorf("got %d enabled and %v failed, want 27 and 3", got, inv.result.FailedByCode)
				}
			})
		}
	}
}

func TestSomeFailures_neverStopTheOthers(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []string{"1", "8"} {
		for name, reply := range map[string]seguratest.Fault{"hang": seguratest.Hang(), "reset": seguratest.ResetStream()} {
			t.Run(name+", "+concurrency, func(t *testing.T) {
				t.Parallel()
				w := start(t, setup{
					timeout: 60 * time.Second,
					segura:  seguratest.Options{AnyIdentifier: true},
					env:     map[string]string{"SEGURA_MAX_CONCURRENCY": concurrency, "SEGURA_ATTEMPT_TIMEOUT": "2s", "SEGURA_MAX_ATTEMPTS": "2"},
				})
				w.one(1100)
				w.segura.Fail(seguratest.Match{Identifier: 1001}, reply, -1)
				w.segura.Fail(seguratest.Match{Identifier: 1002}, reply, -1)
				inv := w.enable(upTo(1001, 1030)...)
				if got := succeeded(inv.result); got != 28 || inv.result.Failed != 2 {
					t.Errorf("got %d enabled and %v failed, want 28 and 2: Segura answers all others", got, inv.result.FailedByCode)
				}
			})
		}
	}
}

func TestAttempts_areNotCutForTheIdentifierAfterAFailedOne(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_MAX_CONCURRENCY": "1"},
	})
	w.segura.Fail(seguratest.Match{Identifier: 1001}, seguratest.ResetStream(), -1)
	w.segura.Fail(seguratest.Match{Identifier: 1002}, seguratest.ResetStream(), 3)
	inv := w.enable(1001, 1002, 1003)
	is(t, inv.result.Results[0], "the one that always fails", "failed", inv.result.Results[0].Error.Code, true, 4)
	is(t, inv.result.Results[1], "the one that fails three times", "enabled", "", false, 4)
	is(t, inv.result.Results[2], "the one that never fails", "enabled", "", false, 1)
}

// deaths are the ways in which nothing of Segura answers any more.
var deaths = []struct {
	name string
	code string
	with func(w *world)
}{
	{"refused", "upstream_unreachable", func(w *world) { _ = w.segura.RefuseConnections(seguratest.NotListening) }},
	{"reset on accept", "upstream_unreachable", func(w *world) { _ = w.segura.RefuseConnections(seguratest.ResetOnAccept) }},
	{"silent on accept", "upstream_timeout", func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) }},
	{"hangs", "upstream_timeout", func(w *world) { w.segura.Fail(seguratest.Match{}, seguratest.Hang(), -1) }},
	{"resets each request", "upstream_unreachable", func(w *world) { w.segura.Fail(seguratest.Match{}, seguratest.ResetConnection(), -1) }},
}

func TestDeadSegura_endsAThousandIdentifiersSoon(t *testing.T) {
	t.Parallel()
	for _, death := range deaths {
		for _, concurrency := range []string{"1", "8"} {
			t.Run(death.name+", "+concurrency, func(t *testing.T) {
				t.Parallel()
				attempt := "2s" // for what is told at once, and
				if death.code == "upstream_timeout" {
					attempt = "300ms" // for what is told by its being over
				}
				w := start(t, setup{
					timeout: 60 * time.Second,
					segura:  seguratest.Options{AnyIdentifier: true},
					env:     map[string]string{"SEGURA_ATTEMPT_TIMEOUT": attempt, "SEGURA_MAX_CONCURRENCY": concurrency},
				})
				death.with(w)

				inv := w.enable(upTo(1001, 2000)...)

				if inv.result.Failed != 1000 || inv.ErrorType != "Segura.TransientError" {
					t.Errorf("got %d failed, %s; want 1000, Segura.TransientError", inv.result.Failed, inv.ErrorType)
				}
				if n := inv.result.FailedByCode[death.code]; n != 1000 {
					t.Errorf("got %v, want 1000 of %s", inv.result.FailedByCode, death.code)
				}
				w.checkRest(inv, 100)
				if n := w.segura.Connections() + w.segura.Count(""); n > 300 {
					t.Errorf("got %d connections and requests, want few", n)
				}
			})
		}
	}
}

// checkRest checks that all but a few identifiers failed without an attempt,
// and retryably, and looks at the audit lines for that, which are complete.
func (w *world) checkRest(inv invocation, few int) {
	w.t.Helper()
	untouched := 0
	for _, l := range pick(parse(w.t, inv.Logs), stage.Line.IsAudit) {
		if n, _ := l.Number("attempts"); n == 0 && l.Text("outcome") == "failed" {
			untouched++
		}
	}
	if untouched < inv.result.Failed-few {
		w.t.Errorf("got %d identifiers with 0 attempts of %d failed, want all but a few", untouched, inv.result.Failed)
	}
	for _, one := range inv.result.Results {
		if one.Error != nil && !one.Error.Retryable {
			w.t.Errorf("got %+v (%+v), want it retryable", one, one.Error)
			return
		}
	}
}

func TestDeadSegura_isNoticedInTheMiddleOfARequest(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, timeout: 60 * time.Second})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Normally(), 200)
	w.segura.Fail(seguratest.Match{}, seguratest.ResetConnection(), -1)
	inv := w.enable(upTo(1001, 2200)...)
	// A reset takes answers with it that are on their way.
	if n := *inv.result.Enabled; n < 150 || n > 200 {
		t.Errorf("got %d enabled, want about the 200 before the end", n)
	}
	w.checkRest(inv, 200)
}

func TestDeadSegura_isAskedAgainByTheNextInvocation(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	if err := w.segura.RefuseConnections(seguratest.NotListening); err != nil {
		t.Fatal(err)
	}
	w.enable(upTo(1001, 1100)...)
	if err := w.segura.AcceptConnections(); err != nil {
		t.Fatal(err)
	}
	if inv := w.enable(upTo(1001, 1100)...); *inv.result.Enabled != 100 {
		t.Errorf("got %.300s", inv.text)
	}
}

func TestShortOutage_losesNothing(t *testing.T) {
	t.Parallel()
	t.Run("of the gateway", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
		replies := []seguratest.Fault{seguratest.Gateway502(), seguratest.Gateway503(), seguratest.Gateway504(), seguratest.Gateway500(),
			seguratest.Gateway429(), seguratest.HTML(502), seguratest.CutShort()}
		for i, identifier := range upTo(1001, 1300) {
			w.segura.Fail(seguratest.Match{Identifier: identifier}, replies[i%len(replies)], i%4) // 0 to 3 of 4 attempts
		}
		inv := w.enable(upTo(1001, 1300)...)
		if *inv.result.Enabled != 300 || inv.FunctionError {
			t.Errorf("got %d enabled and %v failed, want 300 and none", *inv.result.Enabled, inv.result.FailedByCode)
		}
	})
	t.Run("of every connection", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}}})
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 3 {
				select {
				case <-time.After(300 * time.Millisecond):
					w.segura.DropConnections()
				case <-stop:
				}
			}
		}()
		inv := w.enable(upTo(1001, 1500)...)
		close(stop)
		<-done
		if got := succeeded(inv.result); got != 500 {
			t.Errorf("got %d of 500, %v failed", got, inv.result.FailedByCode)
		}
	})
	t.Run("of the port", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{
			segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}},
			env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "12"},
		})
		go func() {
			time.Sleep(200 * time.Millisecond)
			_ = w.segura.RefuseConnections(seguratest.NotListening)
			time.Sleep(300 * time.Millisecond)
			_ = w.segura.AcceptConnections()
		}()
		inv := w.enable(upTo(1001, 1300)...)
		if got := succeeded(inv.result); got != 300 {
			t.Errorf("got %d of 300, %v failed: twelve attempts outlast 300 ms", got, inv.result.FailedByCode)
		}
	})
}

func TestGatewayFaults_stopNobody(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	for _, bad := range upTo(1001, 1100) {
		w.segura.Fail(seguratest.Match{Identifier: bad}, seguratest.Gateway503(), -1)
	}
	inv := w.enable(upTo(1001, 1200)...)
	if *inv.result.Enabled != 100 || inv.result.FailedByCode["upstream_error"] != 100 {
		t.Errorf("got %d enabled and %v failed, want 100 and 100: a 503 is a reply", *inv.result.Enabled, inv.result.FailedByCode)
	}
}

func TestTenThousand_takeOneTokenOneReadTenConnectionsAnd80MiB(t *testing.T) {
	t.Parallel()
	w := start(t, setup{timeout: 5 * time.Minute, segura: seguratest.Options{AnyIdentifier: true}})

	inv := w.enable(upTo(10_001, 20_000)...)

	if inv.FunctionError || *inv.result.Enabled != 10_000 || inv.result.Requested != 10_000 {
		t.Errorf("got %.300s", inv.text)
	}
	w.counts("ten thousand", 1, 10_000, 1)
	if n := w.segura.Connections(); n > 10 {
		t.Errorf("got %d connections, want at most 10", n)
	}
	if got := w.function.MaxRSS(); got >= 80<<20 {
		t.Errorf("got %.1f MiB of memory, want under 80", float64(got)/(1<<20))
	}
	if n := auditLines(inv.Logs); n != 10_000 {
		t.Errorf("got %d audit lines, want 10000", n)
	}
	t.Logf("%v, %.1f MiB", inv.Duration, float64(w.function.MaxRSS())/(1<<20))
}

func TestHTTP1_takesAtMostTenConnectionsToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, TLS: seguratest.TLSOptions{HTTP1Only: true}}})
	inv := w.enable(upTo(1, 1000)...)
	if n := w.segura.Connections(); n > 10 {
		t.Errorf("got %d connections for %d identifiers, want at most 10", n, inv.result.Requested)
	}
	w.counts("a thousand over HTTP/1.1", 1, 1000, 1)
}

func TestManyFailures_areToldWithLittleMemory(t *testing.T) {
	t.Parallel()
	w := start(t, setup{timeout: 5 * time.Minute}) // only the sample exists
	inv := w.enable(upTo(10_001, 12_000)...)
	if inv.result.FailedByCode["not_found"] != 2000 {
		t.Errorf("got %v, want 2000 of not_found", inv.result.FailedByCode)
	}
	if inv.result.Omitted == nil || inv.result.Omitted.Failed+len(inv.result.Results) != 2000 {
		t.Errorf("got %+v omitted and %d results, want 2000 together", inv.result.Omitted, len(inv.result.Results))
	}
	if got := w.function.MaxRSS(); got >= 80<<20 {
		t.Errorf("got %.1f MiB of memory, want under 80", float64(got)/(1<<20))
	}
	w.counts("two thousand failures", 1, 2000, 1)
}

func TestRepeatedIdentifiers_areCalledForOnce(t *testing.T) {
	t.Parallel()
	w := start(t, setup{})
	inv := w.invoke(`{"identifiers": [5, "5", 6, 5]}`)
	if len(inv.result.Results) != 2 || w.segura.CountFor(seguratest.KindEnable, 5) != 1 {
		t.Errorf("got %s and %d calls for 5, want 2 results and one call", inv.text, w.segura.CountFor(seguratest.KindEnable, 5))
	}
}

func TestNotAllowed_isSentToNobody(t *testing.T) {
	t.Parallel()
	for _, action := range actions {
		t.Run(action.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "1001,1003-1005"}})
			w.segura.Reset()
			inv := w.invoke(list(action.name, 1002, 1006, 1000))
			for _, got := range inv.result.Results {
				is(t, got, "outside", "failed", "not_allowed", false, 0)
			}
			if n := w.segura.Count(""); n != 0 {
				t.Errorf("Segura got %d requests, want none", n)
			}
			if inv.ErrorType != "Segura.PermanentError" {
				t.Errorf("got %s", inv.ErrorType)
			}
			for _, inside := range []int64{1001, 1003, 1004, 1005} {
				got := w.invoke(list(action.name, inside)).result.Results[0]
				if got.Outcome == "failed" {
					t.Errorf("inside: got %+v (%+v)", got, got.Error)
				}
			}
			mixed := w.invoke(list(action.name, 1001, 1002)).result
			is(t, mixed.Results[1], "mixed", "failed", "not_allowed", false, 0)
			if mixed.Outcome != "partially_succeeded" {
				t.Errorf("mixed: got %s", mixed.Outcome)
			}
		})
	}
}

func TestNotAllowed_needsNeitherSecretNorSegura(t *testing.T) {
	t.Parallel()
	w := start(t, setup{noSecret: true, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "1-4"}})
	for _, identifier := range []int64{5, 9223372036854775807} {
		is(t, w.one(identifier), fmt.Sprint(identifier), "failed", "not_allowed", false, 0)
	}
}
