package activation_test

import (
	"slices"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// authentication is a request during which tokens or credentials are refused, and
// what that costs.
type authentication struct {
	plays       []seguratest.Fault // what calls are answered with, in their order, one call at a time
	tokenPlays  []seguratest.Fault // what token calls are answered with
	unavailable *apisecret.Error   // why the AWS secret cannot be read
	unreadable  *apisecret.Error   // why it cannot be read again
	changed     bool               // whether it has changed

	want    []summary
	tokens  int // token calls
	rereads int // of the AWS secret, past its cache
	status  int // of the first item's error
}

func (a authentication) require(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	for _, fault := range a.plays {
		w.Runner.Concurrency = 1
		w.Fail(enableCalls, fault, 1)
	}
	for _, fault := range a.tokenPlays {
		w.Fail(tokenCalls, fault, 1)
	}
	w.Source.Fault, w.Source.RereadFault = a.unavailable, a.unreadable
	if a.changed {
		w.Source.Changed = w.NewClient(t)
	}
	var identifiers []apisecret.Identifier
	for _, one := range a.want {
		identifiers = append(identifiers, one.identifier)
	}

	result := w.enable(t.Context(), identifiers...)

	w.requireItems(t, result, a.want...)
	asked, rereads := w.Source.Counts()
	if tokens := w.Count(seguratest.KindToken); asked != 1 || rereads != a.rereads || tokens != a.tokens || w.FaultsLeft() > 0 {
		t.Errorf("got the AWS secret asked for %d times and read %d times again, %d token calls and %d faults left; want 1, %d, %d and 0",
			asked, rereads, tokens, w.FaultsLeft(), a.rereads, a.tokens)
	}
	if e := result.Items[0].Error; e != nil && e.HTTPStatus != a.status {
		t.Errorf("got %+v, want status %d", e, a.status)
	}
}

func TestEnable_asksForANewTokenWhenTheGatewayRefusesIt(t *testing.T) {
	t.Parallel()
	type faults = []seguratest.Fault
	fine, refused, failing, missing := seguratest.Normally(), seguratest.TokenRefused(seguratest.RefusedByGateway), seguratest.Gateway503(), seguratest.NotFound1005()
	enabled := func(attempts int) []summary { return []summary{done(5, apisecret.Enabled, attempts)} }
	refusedForGood := func(attempts int) []summary {
		return []summary{failed(5, attempts, apisecret.AuthenticationFailed, false)}
	}
	for name, row := range map[string]authentication{
		"once":                                  {plays: faults{refused}, want: enabled(2), tokens: 2},
		"twice, and the secret has not changed": {plays: faults{refused, refused}, want: refusedForGood(2), tokens: 2, rereads: 1, status: 404},
		"twice, and the secret has changed":     {plays: faults{refused, refused}, changed: true, want: enabled(3), tokens: 3, rereads: 1},
		"the changed secret's token too":        {plays: faults{refused, refused, refused}, changed: true, want: refusedForGood(3), tokens: 3, rereads: 1, status: 404},
		"and then that of another identifier": {
			plays: faults{refused, refused, refused, refused}, changed: true,
			want: append(refusedForGood(3), failed(7, 1, apisecret.AuthenticationFailed, false)), tokens: 3, rereads: 1, status: 404,
		},
		"each after it was accepted": {
			plays: faults{fine, refused, fine, refused, fine, refused},
			want:  []summary{done(1000, apisecret.Enabled, 1), done(1001, apisecret.Enabled, 2), done(1002, apisecret.Enabled, 2), done(1003, apisecret.Enabled, 2)}, tokens: 4,
		},
		// Whatever Segura itself finds wrong with a call, it took the token.
		"after a call that failed": {
			plays: faults{refused, missing, refused},
			want:  []summary{failed(7, 2, apisecret.NotFound, false), done(5, apisecret.Enabled, 2)}, tokens: 3, status: 400,
		},
		// A refusal costs an attempt, but none of those against transient faults.
		"behind faults":            {plays: faults{failing, failing, failing, refused}, want: enabled(5), tokens: 2},
		"before faults to the end": {plays: faults{refused, failing, failing, failing, failing}, want: []summary{failed(5, 5, apisecret.UpstreamError, true)}, tokens: 2, status: 503},
		"twice before faults to the end": {
			plays: faults{refused, refused, failing, failing, failing, failing}, changed: true,
			want: []summary{failed(5, 6, apisecret.UpstreamError, true)}, tokens: 3, rereads: 1, status: 503,
		},
	} {
		t.Run(name, row.require)
	}
}

// Refused credentials are not tried again, however many identifiers there are, and
// neither are those of a secret that has changed.
func TestEnable_triesRefusedCredentialsOnce(t *testing.T) {
	t.Parallel()
	type faults = []seguratest.Fault
	refused, failing := seguratest.InvalidClient401(), seguratest.Gateway503()
	denied, throttled := apisecret.NewError(apisecret.CredentialsUnavailable, "denied"), apisecret.NewError(apisecret.CredentialsUnavailable, "throttled")
	unusable := apisecret.NewError(apisecret.CredentialsUnavailable, "unusable")
	throttled.Retryable, unusable.Cause = true, apisecret.SecretUnusable
	many := func(s summary) []summary { return each(span(1000, 1029), s) }
	refusedForGood := many(failed(0, 0, apisecret.AuthenticationFailed, false))
	for name, row := range map[string]authentication{
		"the secret has not changed":              {tokenPlays: faults{refused}, want: refusedForGood, tokens: 1, rereads: 1, status: 401},
		"the secret cannot be read":               {tokenPlays: faults{refused}, unreadable: denied, want: refusedForGood, tokens: 1, rereads: 1, status: 401},
		"it may have changed":                     {tokenPlays: faults{refused}, unreadable: throttled, want: many(failed(0, 0, apisecret.CredentialsUnavailable, true)), tokens: 1, rereads: 1},
		"it has changed for the worse":            {tokenPlays: faults{refused}, unreadable: unusable, want: many(failed(0, 0, apisecret.CredentialsUnavailable, false)), tokens: 1, rereads: 1},
		"it has changed":                          {tokenPlays: faults{refused}, changed: true, want: many(done(0, apisecret.Enabled, 1)), tokens: 2, rereads: 1},
		"it has changed, and is refused too":      {tokenPlays: faults{refused, refused}, changed: true, want: refusedForGood, tokens: 2, rereads: 1, status: 401},
		"there is none":                           {unavailable: denied, want: many(failed(0, 0, apisecret.CredentialsUnavailable, false))},
		"there is none for now":                   {unavailable: throttled, want: many(failed(0, 0, apisecret.CredentialsUnavailable, true))},
		"they are not refused, there is no token": {tokenPlays: slices.Repeat(faults{failing}, 4), want: many(failed(0, 0, apisecret.UpstreamError, true)), tokens: 4, status: 503},
	} {
		t.Run(name, row.require)
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
	if at := slices.IndexFunc(result.Items, func(item apisecret.Item) bool { return item.Attempts > 2 }); at >= 0 {
		t.Errorf("got %+v, want at most two attempts", result.Items[at])
	}
}

// Identifiers that are refused for reasons of their own do not wear out the token
// endpoint.
func TestEnable_replacesNoMoreThanSoManyTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Runner.Concurrency = 1
	w.Fail(seguratest.Match{Kind: seguratest.KindEnable, When: func(r seguratest.Request) bool { return r.Identifier%2 == 0 }}, seguratest.TokenRefused(seguratest.RefusedByGateway), -1)

	result := w.enable(t.Context(), span(1000, 1119)...)

	if _, rereads := w.Source.Counts(); result.Count(apisecret.Enabled) != 60 || result.FailedByCode()[apisecret.AuthenticationFailed] != 60 || rereads != 1 || w.Count(seguratest.KindToken) > 25 {
		t.Errorf("got %v, the AWS secret read %d times again and %d token calls", result.FailedByCode(), rereads, w.Count(seguratest.KindToken))
	}
}

// A token may expire in the middle of a long request.
func TestEnable_replacesATokenBeforeItExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}})
	w.Fail(tokenCalls, seguratest.TokenExpiresIn("1"), -1)
	w.Runner.Concurrency = 2

	result := w.enable(t.Context(), span(1000, 1119)...)

	if got := result.Count(apisecret.Enabled); got != 120 || w.Count(seguratest.KindToken) < 2 || w.Count(seguratest.KindEnable) != 120 {
		t.Errorf("got %d enabled by %d calls with %d token calls: %v", got, w.Count(seguratest.KindEnable), w.Count(seguratest.KindToken), result.FailedByCode())
	}
}

// What was refused to one request is tried again in the next.
func TestWarm_obtainsATokenAheadOrTellsWhyNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(tokenCalls, seguratest.InvalidClient401(), 1)

	refused, obtained := w.Runner.Warm(t.Context()), w.Runner.Warm(t.Context())
	w.enable(t.Context(), 5)

	if refused == nil || refused.Code != apisecret.AuthenticationFailed || obtained != nil {
		t.Errorf("got %v, then %v", refused, obtained)
	}
	if requests := w.Requests(); len(requests) != 3 || requests[1].Kind != seguratest.KindToken {
		t.Errorf("got %+v, want two token calls ahead of the call", requests)
	}
}
