package acceptance

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// refusals are the ways in which Segura refuses a token.
var refusals = []struct {
	name  string
	style seguratest.RefusalStyle
}{
	{"by the gateway", seguratest.RefusedByGateway},
	{"Client authentication failed", seguratest.RefusedAuthentication},
	{"Inactive authorization", seguratest.RefusedInactive},
	{"Client authentication failed under HTTP 200", seguratest.RefusedAuthenticationAs200},
	{"Inactive authorization under HTTP 200", seguratest.RefusedInactiveAs200},
}

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
		{"Secrets Manager throttles", func(w *world) { w.secrets.Fail(secretsmanager.Throttling, -1) }, nil},
		{"Secrets Manager hangs", func(w *world) { w.secrets.Fail(secretsmanager.Hang, -1) }, nil},
		{"Secrets Manager resets", func(w *world) { w.secrets.Fail(secretsmanager.Reset, -1) }, nil},
		{"Secrets Manager talks garbage", func(w *world) { w.secrets.Fail(secretsmanager.Garbage, -1) }, nil},
		{"no AWS secret", func(w *world) { w.secrets.Delete(secretName) }, func(w *world) { w.putSecret(nil) }},
		{"an unusable AWS secret", func(w *world) { w.secrets.Put(secretName, "{}") }, func(w *world) { w.putSecret(nil) }},
		{"Segura refuses connections", func(w *world) { _ = w.segura.RefuseConnections(seguratest.NotListening) }, func(w *world) { _ = w.segura.AcceptConnections() }},
		{"Segura is silent", func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) }, func(w *world) { _ = w.segura.AcceptConnections() }},
		{"the token endpoint hangs", func(w *world) { w.segura.Fail(seguratest.Match{}, seguratest.Hang(), -1) }, nil},
		{"the token endpoint drips", func(w *world) { w.segura.Fail(seguratest.Match{}, seguratest.SlowDrip(100*time.Millisecond), -1) }, nil},
		{"the token endpoint fails", func(w *world) { w.segura.Fail(seguratest.Match{}, seguratest.Gateway503(), -1) }, nil},
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

func TestInit_triesRefusedCredentialsOnce(t *testing.T) {
	t.Parallel()
	w := start(t, setup{secret: map[string]any{"client_secret": "wrong-" + marker(t)}})
	if n := w.segura.Count(seguratest.KindToken); n != 1 {
		t.Errorf("got %d token requests within init, want 1", n)
	}
	if n := w.secrets.Reads(); n > 2 {
		t.Errorf("got %d secret reads within init, want at most 2", n)
	}
}

func TestTTL_theSecretIsReadAgainWhenItIsOver(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	began := time.Now()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_CREDENTIALS_TTL": ttl.String()}})
	w.one(1001)
	before := w.secrets.Reads()
	if quick := time.Since(began) < ttl; quick && before != 1 {
		t.Errorf("got %d secret reads within the TTL, want 1", before)
	}
	time.Sleep(ttl)

	w.one(1002)

	w.counts("after the TTL", 1, 2, before+1)
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

func TestTTL_aChangeOfAnythingElseInTheSecretCountsToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	w.one(1001)
	w.putSecret(map[string]any{"referer": "https://changed.example"})
	is(t, w.one(1002), "after the change", "enabled", "", false, 1)
	calls := w.segura.Requests(seguratest.KindEnable)
	if got := calls[len(calls)-1].Header.Get("Referer"); got != "https://changed.example" {
		t.Errorf("Referer: got %q, want the changed one", got)
	}
}

func TestExpiredSecret_isUsedWhileReadingItAgainFailsWithARetryableFault(t *testing.T) {
	t.Parallel()
	table := []struct {
		name   string
		break_ func(w *world)
	}{
		{"throttling", func(w *world) { w.secrets.Fail(secretsmanager.Throttling, -1) }},
		{"internal error", func(w *world) { w.secrets.Fail(secretsmanager.InternalError, -1) }},
		{"unavailable", func(w *world) { w.secrets.Fail(secretsmanager.Unavailable, -1) }},
		{"hang", func(w *world) { w.secrets.Fail(secretsmanager.Hang, -1) }},
		{"reset", func(w *world) { w.secrets.Fail(secretsmanager.Reset, -1) }},
		{"cut short", func(w *world) { w.secrets.Fail(secretsmanager.CutShort, -1) }},
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

func TestExpiredSecret_leavesTimeForTheCallWhenReadingItAgainHangs(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura:  seguratest.Options{AnyIdentifier: true},
		timeout: 8 * time.Second,
		env:     map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}, // the limit of one attempt, 10 s, is longer than the invocation
	})
	w.one(1001)
	w.secrets.Fail(secretsmanager.Hang, -1)
	is(t, w.one(1002), "with the expired copy", "enabled", "", false, 1)
}

func TestExpiredSecret_isUsedNoMoreAfterADenialOrADeletion(t *testing.T) {
	t.Parallel()
	for _, kind := range []secretsmanager.Fault{
		secretsmanager.AccessDenied, secretsmanager.KeyAccessDenied, secretsmanager.ResourceNotFound,
		secretsmanager.MarkedForDeletion, secretsmanager.DecryptionFailure,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true},
				env:    map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired, "AWS_MAX_ATTEMPTS": "1"},
			})
			w.one(1001)
			w.secrets.Fail(kind, 1)
			is(t, w.one(1002), "with the fault", "failed", "credentials_unavailable", false, 0)

			// The copy does not come back when the fault turns into a transient one.
			w.secrets.Fail(secretsmanager.InternalError, 1)
			is(t, w.one(1003), "after the fault", "failed", "credentials_unavailable", true, 0)
			if n := w.segura.Count(seguratest.KindEnable); n != 1 {
				t.Errorf("got %d calls, want none after the denial", n)
			}

			is(t, w.one(1004), "with the fault gone", "enabled", "", false, 1)
		})
	}
}

func TestExpiredSecret_isUsedAgainAfterATransientFaultEnds(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired, "AWS_MAX_ATTEMPTS": "1"},
	})
	w.one(1001)
	w.secrets.Fail(secretsmanager.InternalError, 2)
	for i := range int64(4) {
		w.one(1002 + i)
	}
	w.counts("two reads failed of that of init and five", 1, 5, 6)
}

func TestSecretsManager_hasTheSDKsOwnAttempts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		attempts string
		want     int
	}{{unset, 3}, {"1", 1}, {"2", 2}} {
		t.Run(row.attempts, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				env:    map[string]string{"AWS_MAX_ATTEMPTS": row.attempts, "SEGURA_MAX_ATTEMPTS": "7"},
				before: func(w *world) { w.secrets.Delete(secretName) },
			})
			w.secrets.Reset()
			w.secrets.Fail(secretsmanager.InternalError, -1)
			is(t, w.one(5), "an unavailable secret", "failed", "credentials_unavailable", true, 0)
			if n := w.secrets.Reads(); n != row.want {
				t.Errorf("got %d reads, want %d", n, row.want)
			}
		})
	}
}

func TestCredentialsUnavailable_isRetryableForThrottling5xxAndNetworkOnly(t *testing.T) {
	t.Parallel()
	retryable := map[secretsmanager.Fault]bool{
		secretsmanager.Throttling: true, secretsmanager.InternalError: true, secretsmanager.Unavailable: true,
		secretsmanager.Hang: true, secretsmanager.Reset: true, secretsmanager.CutShort: true,
		secretsmanager.AccessDenied: false, secretsmanager.KeyAccessDenied: false, secretsmanager.ResourceNotFound: false,
		secretsmanager.MarkedForDeletion: false, secretsmanager.DecryptionFailure: false, secretsmanager.SignatureMismatch: false,
		secretsmanager.ExpiredToken: false, secretsmanager.InvalidToken: false, secretsmanager.NoValue: false,
	}
	w := start(t, setup{
		noSecret: true,
		env:      map[string]string{"AWS_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "3s"},
	})
	for kind, want := range retryable {
		w.secrets.Reset()
		w.secrets.Fail(kind, -1)
		inv := w.enable(5, 6, 7)
		for _, got := range inv.result.Results {
			is(t, got, string(kind), "failed", "credentials_unavailable", want, 0)
		}
		if n := w.secrets.Reads(); n != 1 {
			t.Errorf("%s: got %d reads for three identifiers, want 1", kind, n)
		}
	}
	for _, kind := range []secretsmanager.Fault{secretsmanager.Garbage, secretsmanager.GiantBody} {
		w.secrets.Reset()
		w.secrets.Fail(kind, -1)
		if got := w.one(5); got.Error == nil || got.Error.Code != "credentials_unavailable" {
			t.Errorf("%s: got %+v, want credentials_unavailable", kind, got)
		}
	}
	w.secrets.Reset()
	is(t, w.one(5), "no such secret", "failed", "credentials_unavailable", false, 0)
	nobody := w.another(setup{env: map[string]string{"AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:1"}})
	is(t, nobody.one(5), "nobody listens", "failed", "credentials_unavailable", true, 0)
	if n := w.segura.Count(""); n != 0 {
		t.Errorf("Segura got %d requests, want none", n)
	}
}

func TestToken_isFetchedOnceMoreWhenSeguraRefusesIt(t *testing.T) {
	t.Parallel()
	for _, refusal := range refusals {
		for _, action := range actions {
			t.Run(refusal.name+", "+action.name, func(t *testing.T) {
				t.Parallel()
				w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
				w.segura.RefuseToken(refusal.style)
				w.segura.SetActive(1001, action.name == "disable")
				w.segura.RevokeTokens()

				is(t, w.invoke(list(action.name, 1001)).result.Results[0], "a revoked token", action.outcome, "", false, 2)
				w.counts("a revoked token", 2, 2, 1)

				is(t, w.invoke(list(action.name, 1001)).result.Results[0], "afterwards", action.repeated, "", false, 1)
				w.counts("afterwards", 2, 3, 1)
			})
		}
	}
}

func TestToken_refusedToManyCallsAtOnceIsFetchedOnceMore(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 5 * time.Millisecond}}})
	w.segura.RevokeTokens()
	inv := w.enable(upTo(1001, 1200)...)
	if *inv.result.Enabled != 200 {
		t.Errorf("got %.500s", inv.text)
	}
	if n := w.segura.Count(seguratest.KindToken); n != 2 {
		t.Errorf("got %d token requests, want the first and one more", n)
	}
	if n := w.secrets.Reads(); n != 1 {
		t.Errorf("got %d secret reads, want 1", n)
	}
	if n := w.segura.Count(seguratest.KindEnable); n > 208 {
		t.Errorf("got %d calls, want at most 200 and one more of each of the 8 at once", n)
	}
}

func TestToken_refusedThoughFreshHasTheSecretReadAgain(t *testing.T) {
	t.Parallel()
	for _, refusal := range refusals {
		t.Run(refusal.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{})
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.TokenRefused(refusal.style), -1)
			got := w.one(5)
			is(t, got, "every token is refused", "failed", "authentication_failed", false, 2)
			w.counts("the secret has not changed", 2, 2, 2)
			want := map[bool]int{true: 404, false: 401}[refusal.style == seguratest.RefusedByGateway]
			if got.Error == nil || got.Error.HTTPStatus != want {
				t.Errorf("got %+v, want http_status %d", got.Error, want)
			}
		})
	}
}

func TestToken_refusedThoughFreshIsAskedForWithAChangedSecretOnce(t *testing.T) {
	t.Parallel()
	for _, refused := range []int{2, -1} {
		t.Run(fmt.Sprint(refused), func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{})
			other, secret := "other-client-"+marker(t), "other-secret-"+marker(t)
			w.mark(other, secret)
			w.segura.AddCredentials(other, secret)
			w.putSecret(map[string]any{"client_id": other, "client_secret": secret})
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.TokenRefused(seguratest.RefusedByGateway), refused)

			got := w.one(5)

			if refused == 2 {
				is(t, got, "the third token is good", "enabled", "", false, 3)
			} else {
				is(t, got, "no token is good", "failed", "authentication_failed", false, 3)
			}
			w.counts("the secret has changed", 3, 3, 2)
		})
	}
}

func TestCredentials_refusedByTheTokenEndpointHaveTheSecretReadAgain(t *testing.T) {
	t.Parallel()
	refuse := map[string]func(w *world){
		"by a wrong secret": func(w *world) { w.segura.RotateClientSecret("rotated-" + marker(w.t)) },
		"invalid_client, 400": func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.ReplyJSON(400, `{"error":"invalid_client"}`), -1)
		},
		"in an envelope": func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Envelope(401, 401, "Client authentication failed"), -1)
		},
	}
	for name, refuse := range refuse {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
			w.segura.RevokeTokens()
			refuse(w)
			inv := w.enable(1001)
			is(t, inv.result.Results[0], "one identifier", "failed", "authentication_failed", false, 1)
			w.counts("the secret has not changed", 2, 1, 2)
		})
	}
}

func TestCredentials_thatWereRotatedAreTriedOnce(t *testing.T) {
	t.Parallel()
	t.Run("and accepted", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{})
		w.segura.RevokeTokens()
		w.segura.RotateClientSecret("rotated-" + marker(t))
		w.putSecret(nil)
		is(t, w.one(5), "rotated credentials", "enabled", "", false, 2)
		w.counts("rotated credentials", 3, 2, 2)
	})
	t.Run("and refused too", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{})
		w.segura.RevokeTokens()
		w.segura.RotateClientSecret("rotated-" + marker(t))
		wrong := "wrong-again-" + marker(t)
		w.mark(wrong)
		w.putSecret(map[string]any{"client_secret": wrong})
		is(t, w.one(5), "wrong credentials", "failed", "authentication_failed", false, 1)
		w.counts("wrong credentials", 3, 1, 2)
	})
	t.Run("before any token was ever issued", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{before: func(w *world) { w.segura.RotateClientSecret("rotated-" + marker(w.t)) }})
		w.putSecret(nil)
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindOther}, seguratest.Normally(), 1)
		before := w.segura.Count(seguratest.KindToken)
		is(t, w.one(5), "rotated credentials", "enabled", "", false, 1)
		if n := w.segura.Count(seguratest.KindToken) - before; n > 2 {
			t.Errorf("got %d token requests, want the refused one and one with the changed secret", n)
		}
	})
	t.Run("to something unusable", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{})
		w.segura.RevokeTokens()
		w.segura.RotateClientSecret("rotated-" + marker(t))
		w.secrets.Put(secretName, "{}")
		got := w.one(5)
		if got.Outcome != "failed" || got.Attempts != 1 || got.Error.Retryable {
			t.Errorf("got %+v (%+v), want a failure that is not retryable", got, got.Error)
		}
		is(t, w.one(5), "the next invocation", "failed", "credentials_unavailable", false, 0)
	})
}

func TestCredentials_refusedAreNotTriedAgainHoweverManyIdentifiers(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []string{"1", "8", "50"} {
		t.Run(concurrency, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true},
				secret: map[string]any{"client_secret": "wrong-" + marker(t)},
				env:    map[string]string{"SEGURA_MAX_CONCURRENCY": concurrency},
			})
			for range 2 {
				w.segura.Reset()
				w.secrets.Reset()
				inv := w.enable(upTo(1, 1000)...)
				if got := inv.result.FailedByCode["authentication_failed"]; got != 1000 {
					t.Errorf("got %v, want 1000 of authentication_failed", inv.result.FailedByCode)
				}
				w.counts("an invocation", 1, 0, 1)
			}
		})
	}
}

func TestToken_refusedToAllIsFetchedOnceMoreHoweverManyIdentifiers(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []string{"1", "8"} {
		t.Run(concurrency, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true},
				env:    map[string]string{"SEGURA_MAX_CONCURRENCY": concurrency},
			})
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.TokenRefused(seguratest.RefusedByGateway), -1)
			inv := w.enable(upTo(1, 500)...)
			if got := inv.result.FailedByCode["authentication_failed"]; got != 500 {
				t.Errorf("got %v, want 500 of authentication_failed", inv.result.FailedByCode)
			}
			if n := w.segura.Count(seguratest.KindToken); n != 2 {
				t.Errorf("got %d token requests, want the one of init and one more", n)
			}
			if n := w.secrets.Reads(); n != 2 {
				t.Errorf("got %d secret reads, want the one of init and one more", n)
			}
		})
	}
}

func TestToken_refusedToOneIdentifierDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []string{"1", "8"} {
		t.Run(concurrency, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true},
				env:    map[string]string{"SEGURA_MAX_CONCURRENCY": concurrency},
			})
			for _, identifier := range []int64{1001, 1050} {
				w.segura.Fail(seguratest.Match{Identifier: identifier}, seguratest.TokenRefused(seguratest.RefusedAuthentication), -1)
			}
			inv := w.enable(upTo(1001, 1100)...)
			if *inv.result.Enabled != 98 || inv.result.FailedByCode["authentication_failed"] != 2 {
				t.Errorf("got %d enabled, %v; want 98 and 2 of authentication_failed", *inv.result.Enabled, inv.result.FailedByCode)
			}
			if n := w.segura.Count(seguratest.KindToken); n > 3 {
				t.Errorf("got %d token requests, want few", n)
			}
		})
	}
}

func TestReauthentication_addsAtMostTwoAttempts(t *testing.T) {
	t.Parallel()
	refused := seguratest.TokenRefused(seguratest.RefusedByGateway)
	failed := seguratest.Gateway503()
	table := []struct {
		about    string
		faults   []seguratest.Fault
		changed  bool
		outcome  string
		attempts int
	}{
		{"a refusal last", []seguratest.Fault{failed, failed, failed, refused}, false, "enabled", 5},
		{"a refusal first", []seguratest.Fault{refused, failed, failed, failed}, false, "enabled", 5},
		{"a refusal between", []seguratest.Fault{failed, refused, failed, failed}, false, "enabled", 5},
		{"a refusal first, faults to the end", []seguratest.Fault{refused, failed, failed, failed, failed}, false, "failed", 5},
		{"two refusals and a changed secret", []seguratest.Fault{failed, refused, refused, failed, failed}, true, "enabled", 6},
		{"two refusals and a changed secret, faults to the end", []seguratest.Fault{refused, refused, failed, failed, failed, failed}, true, "failed", 6},
	}
	for _, row := range table {
		t.Run(row.about, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{})
			if row.changed {
				other, secret := "other-client-"+marker(t), "other-secret-"+marker(t)
				w.segura.AddCredentials(other, secret)
				w.putSecret(map[string]any{"client_id": other, "client_secret": secret})
			}
			for _, f := range row.faults {
				w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, f, 1)
			}
			got := w.one(5)
			if got.Outcome != row.outcome || got.Attempts != row.attempts {
				t.Errorf("got %s after %d attempts (%+v), want %s after %d", got.Outcome, got.Attempts, got.Error, row.outcome, row.attempts)
			}
			if n := w.segura.FaultsLeft(); n != 0 {
				t.Errorf("%d faults were not played", n)
			}
		})
	}
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
