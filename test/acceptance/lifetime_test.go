package acceptance

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

func TestCaches_secretAndTokenAreReusedAcrossInvocations(t *testing.T) {
	t.Parallel()
	for _, function := range []string{api, event} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{function: function, segura: seguratest.Options{AnyIdentifier: true}})
			for i := range int64(5) {
				if function == api {
					w.http("POST", fmt.Sprintf("/api-secrets/%d/enable", 1000+i), "", nil)
				} else {
					w.enable(1000+2*i, 1001+2*i)
				}
			}
			calls := map[string]int{api: 5, event: 10}[function]
			w.counts("five invocations", 1, calls, 1)
			if n := w.segura.Connections(); n > 2 {
				t.Errorf("got %d connections, want one or two that are reused", n)
			}
		})
	}
}

func TestInit_fetchesSecretAndTokenAhead(t *testing.T) {
	t.Parallel()
	for _, function := range []string{api, event} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{function: function})
			w.counts("after init", 1, 0, 1)
			if function == api {
				w.http("POST", "/api-secrets/5/enable", "", nil)
			} else {
				w.enable(5)
			}
			w.counts("after the first invocation", 1, 1, 1)
		})
	}
}

func TestInit_isEndedByNoRemoteFault(t *testing.T) {
	t.Parallel()
	table := []struct {
		about string
		with  func(w *world)
		cure  func(w *world)
	}{
		{"Secrets Manager denies access", func(w *world) { w.secrets.Fail(secretsmanager.AccessDenied, -1) }, nil},
		{"Secrets Manager hangs", func(w *world) { w.secrets.Fail(secretsmanager.Hang, -1) }, nil},
		{"no AWS secret", func(w *world) { w.secrets.Delete(secretName) }, func(w *world) { w.putSecret(nil) }},
		{"Segura is silent", func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) }, func(w *world) { _ = w.segura.AcceptConnections() }},
		{"the token endpoint drips", func(w *world) { w.segura.Fail(seguratest.Match{}, seguratest.SlowDrip(100*time.Millisecond), -1) }, nil},
		{"the token endpoint limits the rate for long", func(w *world) {
			w.segura.Fail(seguratest.Match{}, seguratest.Gateway429().WithHeader("Retry-After", "30"), -1)
		}, nil},
		{"the credentials are refused", func(w *world) { w.segura.RotateClientSecret("another " + marker(w.t)) }, func(w *world) { w.putSecret(nil) }},
	}
	for _, row := range table {
		t.Run(row.about, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{before: row.with}) // which Lambda ends after 10 s
			w.segura.ClearFaults()
			w.secrets.Reset()
			if row.cure != nil {
				row.cure(w)
			}
			is(t, w.one(5), "the first invocation, with the fault gone", "enabled", "", false, 1)
		})
	}
}

func TestInit_waitsTwoSecondsForTheTokenAndNoLonger(t *testing.T) {
	t.Parallel()
	t.Run("slow enough", func(t *testing.T) {
		t.Parallel()
		const latency = time.Second // the other one is for a slow machine
		w := start(t, setup{segura: seguratest.Options{Latency: seguratest.Latency{Token: latency}}})
		if took := w.function.InitDuration(); took < latency {
			t.Errorf("init took %v, want it to wait for the token", took)
		}
		is(t, w.one(5), "a token in 1 s", "enabled", "", false, 1)
		w.counts("a token in 1 s", 1, 1, 1)
	})
	t.Run("too slow", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{before: func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Normally().After(2500*time.Millisecond), 1)
		}})
		is(t, w.one(5), "a token in 2.5 s", "enabled", "", false, 1)
		w.counts("the first one was waited for in vain", 2, 1, 1)
	})
}

func TestTTL_changedCredentialsAreUsedFromThenOn(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	w.one(1001)
	secret := "client-secret-" + marker(t)
	w.segura.AddCredentials("second-client-"+marker(t), secret)
	other := "third-client-" + marker(t)
	w.segura.AddCredentials(other, secret)
	w.mark(secret, other)
	w.putSecret(map[string]any{"client_id": other, "client_secret": secret})

	is(t, w.one(1002), "after the change", "enabled", "", false, 1)

	w.counts("after the change", 2, 2, 3)
	tokens := w.segura.Requests(seguratest.KindToken)
	if got := tokens[len(tokens)-1].Form.Get("client_id"); got != other {
		t.Errorf("the token was asked for by client %q, want the changed one", got)
	}
}

func TestTTL_connectionsOfTheCredentialsBeforeAreClosed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	for n := range 5 {
		w.putSecret(map[string]any{"referer": fmt.Sprintf("https://number-%d.example", n)})
		is(t, w.one(int64(1001+n)), "after the change", "enabled", "", false, 1)
	}
	open := w.segura.OpenConnections()
	for range 2000 {
		if open == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
		open = w.segura.OpenConnections()
	}
	t.Errorf("got %d open connections after five changes of the credentials, want the one that is in use", open)
}

func TestExpiredSecret_isUsedWhileReadingItAgainFailsWithARetryableFault(t *testing.T) {
	t.Parallel()
	table := []struct {
		name   string
		break_ func(w *world)
	}{
		{"throttling", func(w *world) { w.secrets.Fail(secretsmanager.Throttling, -1) }},
		{"hang", func(w *world) { w.secrets.Fail(secretsmanager.Hang, -1) }},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true},
				env:    map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired, "SEGURA_ATTEMPT_TIMEOUT": "2s", "AWS_MAX_ATTEMPTS": "2"},
			})
			w.one(1001)
			row.break_(w)
			is(t, w.one(1002), "the first invocation with the fault", "enabled", "", false, 1)
			is(t, w.one(1003), "the second invocation with the fault", "enabled", "", false, 1)
			if n := w.segura.Count(seguratest.KindToken); n != 1 {
				t.Errorf("got %d token requests, want the one token kept", n)
			}
		})
	}
}

func TestCredentials_thatWereRotatedAreFoundInTheSecret(t *testing.T) {
	t.Parallel()
	w := start(t, setup{})
	w.segura.RevokeTokens()
	w.segura.RotateClientSecret("rotated-" + marker(t))
	w.putSecret(nil)
	is(t, w.one(5), "rotated credentials", "enabled", "", false, 2)
	w.counts("rotated credentials", 3, 2, 2)
}

func TestInvocationsAtOnce_shareSecretAndToken(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura:      seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Token: 50 * time.Millisecond, Call: 10 * time.Millisecond}},
		concurrency: 6,
	})
	w.segura.RevokeTokens()
	var group sync.WaitGroup
	for i := range int64(6) {
		group.Go(func() {
			inv := w.enable(upTo(1001+100*i, 1020+100*i)...)
			if inv.result.Enabled == nil || *inv.result.Enabled != 20 {
				t.Errorf("invocation %d: got %.500s", i, inv.text)
			}
		})
	}
	group.Wait()
	if n := w.segura.Count(seguratest.KindToken); n != 2 {
		t.Errorf("got %d token requests, want that of init and one more for all six invocations", n)
	}
	if n := w.secrets.Reads(); n != 1 {
		t.Errorf("got %d secret reads, want 1", n)
	}
}
