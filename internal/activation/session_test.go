package activation_test

import (
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

var everyStyle = []seguratest.RefusalStyle{
	seguratest.RefusedByGateway, seguratest.RefusedAuthentication, seguratest.RefusedInactive,
	seguratest.RefusedAuthenticationAs200, seguratest.RefusedInactiveAs200,
}

func TestEnable_asksForANewTokenWhenTheGatewayRefusesIt(t *testing.T) {
	t.Parallel()
	for _, style := range everyStyle {
		w := newWorld(t, seguratest.Options{})
		w.enable(t.Context(), 100)
		w.RevokeTokens()
		w.RefuseToken(style)

		result := w.enable(t.Context(), 5)

		w.requireItems(t, result, done(5, apisecret.Enabled, 2))
		if _, rereads := w.vault.counts(); w.Count(seguratest.KindToken) != 2 || rereads > 0 {
			t.Errorf("style %d: got %d token calls and the AWS secret read %d times again, want 2 and none", style, w.Count(seguratest.KindToken), rereads)
		}
	}
}

func TestEnable_asksForOneNewTokenForAllIdentifiers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 5 * time.Millisecond, Token: 20 * time.Millisecond}})
	w.enable(t.Context(), 1)
	w.RevokeTokens()

	result := w.enable(t.Context(), span(1000, 1099)...)

	if got := result.Count(apisecret.Enabled); got != 100 || w.Count(seguratest.KindToken) != 2 {
		t.Errorf("got %d enabled with %d token calls, want 100 with 2", got, w.Count(seguratest.KindToken))
	}
	for _, item := range result.Items {
		if item.Attempts > 2 {
			t.Errorf("got %+v, want at most two attempts", item)
		}
	}
}

func TestEnable_doesNotCountARefusedTokenAsATransientFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.runner.Retry = segura.Retry{MaxAttempts: 1}
	w.enable(t.Context(), 100)
	w.RevokeTokens()

	result := w.enable(t.Context(), 5)

	w.requireItems(t, result, done(5, apisecret.Enabled, 2))
}

func TestEnable_readsTheSecretAgainWhenTheFreshTokenIsRefusedToo(t *testing.T) {
	t.Parallel()
	for _, style := range everyStyle {
		w := newWorld(t, seguratest.Options{})
		w.Fail(callsFor(5), seguratest.TokenRefused(style), 2)
		w.vault.changed = w.newClient(t)

		result := w.enable(t.Context(), 5)

		w.requireItems(t, result, done(5, apisecret.Enabled, 3))
		if _, rereads := w.vault.counts(); rereads != 1 || w.Count(seguratest.KindToken) != 3 {
			t.Errorf("style %d: got the AWS secret read %d times again and %d token calls, want 1 and 3", style, rereads, w.Count(seguratest.KindToken))
		}
	}
}

func TestEnable_replacesEachTokenThatWasAcceptedBeforeItWasRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Concurrency = 1
	for _, i := range []int64{1005, 1010, 1015} {
		w.Fail(callsFor(i), seguratest.TokenRefused(seguratest.RefusedInactive), 1)
	}

	result := w.enable(t.Context(), span(1000, 1019)...)

	if _, rereads := w.vault.counts(); result.Count(apisecret.Enabled) != 20 || rereads > 0 || w.Count(seguratest.KindToken) != 4 {
		t.Errorf("got %v, the AWS secret read %d times again and %d token calls; want 0 and 4", result.FailedByCode(), rereads, w.Count(seguratest.KindToken))
	}
}

// Whatever Segura itself finds wrong with a call, it took the token.
func TestEnable_replacesATokenThatSeguraTookForACallThatFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.runner.Concurrency = 1
	for _, i := range []int64{7, 5} {
		w.Fail(callsFor(i), seguratest.TokenRefused(seguratest.RefusedInactive), 1)
	}

	result := w.enable(t.Context(), 7, 5)

	w.requireItems(t, result, failed(7, 2, apisecret.NotFound, false), done(5, apisecret.Enabled, 2))
	if _, rereads := w.vault.counts(); rereads > 0 || w.Count(seguratest.KindToken) != 3 {
		t.Errorf("got the AWS secret read %d times again and %d token calls, want 0 and 3", rereads, w.Count(seguratest.KindToken))
	}
}

// Identifiers that are refused for reasons of their own do not wear out the token
// endpoint.
func TestEnable_replacesNoMoreThanSoManyTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Concurrency = 1
	w.Fail(seguratest.Match{Kind: seguratest.KindEnable, When: func(r seguratest.Request) bool { return r.Identifier%2 == 0 }}, seguratest.TokenRefused(seguratest.RefusedByGateway), -1)

	result := w.enable(t.Context(), span(1000, 1119)...)

	if _, rereads := w.vault.counts(); result.Count(apisecret.Enabled) != 60 || result.FailedByCode()[apisecret.AuthenticationFailed] != 60 || rereads != 1 || w.Count(seguratest.KindToken) > 25 {
		t.Errorf("got %d enabled, %v, the AWS secret read %d times again and %d token calls", result.Count(apisecret.Enabled), result.FailedByCode(), rereads, w.Count(seguratest.KindToken))
	}
}

func TestEnable_takesNoRefusalForFinalWhileTheSecretCannotBeReadForNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.RotateClientSecret("rotated-client-secret")
	w.vault.reread = apisecret.NewError(apisecret.CredentialsUnavailable, "throttled")
	w.vault.reread.Retryable = true

	result := w.enable(t.Context(), span(1000, 1009)...)

	for _, item := range result.Items {
		if got, want := summarize(item), failed(item.Identifier, 0, apisecret.CredentialsUnavailable, true); got != want {
			t.Errorf("got %+v, want %+v: the credentials may have changed", got, want)
		}
	}
	if _, rereads := w.vault.counts(); rereads != 1 || w.Count(seguratest.KindToken) != 1 {
		t.Errorf("got the AWS secret read %d times again and %d token calls, want 1 and 1", rereads, w.Count(seguratest.KindToken))
	}
}

func TestEnable_givesUpWhenTheFreshTokenIsRefusedAndTheSecretHasNotChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(enableCalls, seguratest.TokenRefused(seguratest.RefusedByGateway), -1)

	result := w.enable(t.Context(), 5)

	w.requireItems(t, result, failed(5, 2, apisecret.AuthenticationFailed, false))
	if got := result.Items[0].Error; got.HTTPStatus != 404 {
		t.Errorf("got %+v, want the gateway's status", got)
	}
	if _, rereads := w.vault.counts(); rereads != 1 || w.Count(seguratest.KindToken) != 2 {
		t.Errorf("got the AWS secret read %d times again and %d token calls, want 1 and 2", rereads, w.Count(seguratest.KindToken))
	}
}

func TestEnable_givesUpWhenTheTokenOfChangedCredentialsIsRefusedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(enableCalls, seguratest.TokenRefused(seguratest.RefusedAuthentication), -1)
	w.vault.changed = w.newClient(t)

	result := w.enable(t.Context(), 5)

	w.requireItems(t, result, failed(5, 3, apisecret.AuthenticationFailed, false))
}

func TestEnable_readsTheSecretAgainWhenTheCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.RotateClientSecret("rotated-client-secret")
	w.vault.changed = w.newClient(t)

	result := w.enable(t.Context(), span(1000, 1029)...)

	if got := result.Count(apisecret.Enabled); got != 30 {
		t.Errorf("got %d enabled, want 30: %+v", got, result.Items[0].Error)
	}
	if _, rereads := w.vault.counts(); rereads != 1 || w.Count(seguratest.KindToken) != 2 {
		t.Errorf("got the AWS secret read %d times again and %d token calls, want 1 and 2", rereads, w.Count(seguratest.KindToken))
	}
	for _, item := range result.Items {
		if item.Attempts != 1 {
			t.Errorf("got %+v, want one attempt: token calls are not counted", item)
		}
	}
}

// Refused credentials are not tried again, however many identifiers there are.
func TestEnable_triesRefusedCredentialsOnce(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(*world){
		"the secret has not changed": func(*world) {},
		"the secret cannot be read":  func(w *world) { w.vault.reread = apisecret.NewError(apisecret.CredentialsUnavailable, "denied") },
	} {
		w := newWorld(t, seguratest.Options{AnyIdentifier: true})
		w.RotateClientSecret("rotated-client-secret")
		arrange(w)

		result := w.enable(t.Context(), span(1000, 1049)...)

		for _, item := range result.Items {
			if got, want := summarize(item), failed(item.Identifier, 0, apisecret.AuthenticationFailed, false); got != want || item.Error.HTTPStatus != 401 {
				t.Errorf("%s: got %+v (%v), want %+v", name, got, item.Error, want)
			}
		}
		if asked, rereads := w.vault.counts(); w.Count(seguratest.KindToken) != 1 || rereads != 1 || asked != 1 || w.Count(seguratest.KindEnable) > 0 {
			t.Errorf("%s: got %d token calls, the AWS secret asked for %d times and read %d times again, %d calls; want 1, 1, 1 and 0",
				name, w.Count(seguratest.KindToken), asked, rereads, w.Count(seguratest.KindEnable))
		}
		w.requireAudit(t, result)
	}
}

func TestEnable_triesChangedCredentialsOnceToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.RotateClientSecret("first-rotation")
	w.vault.changed = w.newClient(t)
	w.RotateClientSecret("second-rotation")

	result := w.enable(t.Context(), span(1000, 1029)...)

	if _, rereads := w.vault.counts(); result.FailedByCode()[apisecret.AuthenticationFailed] != 30 || rereads != 1 || w.Count(seguratest.KindToken) != 2 {
		t.Errorf("got %v, the AWS secret read %d times again and %d token calls; want 1 and 2", result.FailedByCode(), rereads, w.Count(seguratest.KindToken))
	}
}

func TestEnable_triesTheSameCredentialsAgainInTheNextRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(tokenCalls, seguratest.InvalidClient401(), 1)

	first := w.enable(t.Context(), 100)
	second := w.enable(t.Context(), 5)

	if got := summarize(first.Items[0]); got.code != apisecret.AuthenticationFailed {
		t.Errorf("first: got %+v", got)
	}
	if got, want := summarize(second.Items[0]), done(5, apisecret.Enabled, 1); got != want {
		t.Errorf("second: got %+v, want %+v", got, want)
	}
}

func TestEnable_readsAnUnavailableSecretOnceForAllIdentifiers(t *testing.T) {
	t.Parallel()
	for _, retryable := range []bool{false, true} {
		w := newWorld(t, seguratest.Options{})
		w.vault.fault = apisecret.NewError(apisecret.CredentialsUnavailable, "sentence")
		w.vault.fault.Retryable = retryable

		result := w.enable(t.Context(), span(100, 109)...)

		for _, item := range result.Items {
			if got, want := summarize(item), failed(item.Identifier, 0, apisecret.CredentialsUnavailable, retryable); got != want || item.Error.Message != "sentence" {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		if asked, _ := w.vault.counts(); asked != 1 || w.Count("") > 0 {
			t.Errorf("got the AWS secret asked for %d times and %d requests, want once and none", asked, w.Count(""))
		}
	}
}

func TestEnable_tellsTheFaultOfTheTokenCall(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		fault  seguratest.Fault
		want   summary
		status int
		calls  int
	}{
		{seguratest.Gateway503(), failed(5, 0, apisecret.UpstreamError, true), 503, 4},
		{seguratest.GatewayForbiddenIP403(), failed(5, 0, apisecret.AccessDenied, false), 403, 1},
		{seguratest.TokenMissing(), failed(5, 0, apisecret.UnexpectedResponse, false), 200, 1},
		{seguratest.CloseConnection(), failed(5, 0, apisecret.UpstreamUnreachable, true), 0, 4},
	} {
		t.Run(row.fault.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seguratest.Options{})
			w.Fail(tokenCalls, row.fault, -1)

			result := w.enable(t.Context(), 5, 6, 7)

			other := func(i apisecret.Identifier) summary { s := row.want; s.identifier = i; return s }
			w.requireItems(t, result, row.want, other(6), other(7))
			if got := result.Items[0].Error.HTTPStatus; got != row.status || w.Count(seguratest.KindToken) != row.calls {
				t.Errorf("got status %d after %d token calls, want %d after %d", got, w.Count(seguratest.KindToken), row.status, row.calls)
			}
		})
	}
}

// A refusal costs an attempt, but none of those against transient faults.
func TestEnable_addsAtMostTwoAttemptsForRefusals(t *testing.T) {
	t.Parallel()
	refused, failing := seguratest.TokenRefused(seguratest.RefusedByGateway), seguratest.Gateway503()
	for _, row := range []struct {
		name    string
		faults  []seguratest.Fault
		changed bool
		want    summary
	}{
		{"a refusal last", []seguratest.Fault{failing, failing, failing, refused}, false, done(5, apisecret.Enabled, 5)},
		{"a refusal first", []seguratest.Fault{refused, failing, failing, failing}, false, done(5, apisecret.Enabled, 5)},
		{"a refusal between", []seguratest.Fault{failing, refused, failing, failing}, false, done(5, apisecret.Enabled, 5)},
		{"a refusal first, faults to the end", []seguratest.Fault{refused, failing, failing, failing, failing}, false, failed(5, 5, apisecret.UpstreamError, true)},
		{"two refusals and a changed secret", []seguratest.Fault{failing, refused, refused, failing, failing}, true, done(5, apisecret.Enabled, 6)},
		{"the same, faults to the end", []seguratest.Fault{refused, refused, failing, failing, failing, failing}, true, failed(5, 6, apisecret.UpstreamError, true)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seguratest.Options{})
			if row.changed {
				w.vault.changed = w.newClient(t)
			}
			for _, fault := range row.faults {
				w.Fail(enableCalls, fault, 1)
			}

			result := w.enable(t.Context(), 5)

			w.requireItems(t, result, row.want)
			if w.FaultsLeft() > 0 {
				t.Errorf("%d faults were not played", w.FaultsLeft())
			}
		})
	}
}

// A token may expire in the middle of a long request.
func TestEnable_replacesATokenBeforeItExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}})
	w.Fail(tokenCalls, seguratest.TokenExpiresIn("1"), -1)
	w.runner.Concurrency = 2

	result := w.enable(t.Context(), span(1000, 1119)...)

	if got := result.Count(apisecret.Enabled); got != 120 || w.Count(seguratest.KindToken) < 2 || w.Count(seguratest.KindEnable) != 120 {
		t.Errorf("got %d enabled by %d calls with %d token calls: %v", got, w.Count(seguratest.KindEnable), w.Count(seguratest.KindToken), result.FailedByCode())
	}
}

func TestWarm_obtainsATokenAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})

	fault := w.runner.Warm(t.Context())
	w.enable(t.Context(), 5)

	if fault != nil || w.Count(seguratest.KindToken) != 1 || w.Requests()[0].Kind != seguratest.KindToken {
		t.Errorf("got %v with %d token calls, want one ahead of the call", fault, w.Count(seguratest.KindToken))
	}
}

func TestWarm_tellsWhatKeptItFromDoingSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(tokenCalls, seguratest.InvalidClient401(), 1)

	refused := w.runner.Warm(t.Context())
	w.vault.fault = apisecret.NewError(apisecret.CredentialsUnavailable, "sentence")
	unavailable := w.runner.Warm(t.Context())

	if refused == nil || refused.Code != apisecret.AuthenticationFailed || unavailable != w.vault.fault {
		t.Errorf("got %v and %v", refused, unavailable)
	}
}
