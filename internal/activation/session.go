package activation

import (
	"context"
	"sync/atomic"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
)

// session hands out what the calls of one request are made with, and is the one
// place that authenticates again:
//
//  1. A refused token is dropped and fetched once more.
//  2. If that one is refused too, or the token endpoint refuses the credentials,
//     the AWS secret is read again past its cache, once a request, and if it has
//     changed, its credentials are tried once.
//  3. Otherwise the refusal stands, and nothing that was refused is tried again.
//
// A token that was accepted in any call and is refused later has probably expired,
// and begins anew at 1, maxRenewals times a request: identifiers that are refused
// for reasons of their own do not wear out the token endpoint.
type session struct {
	clients ClientSource

	lock     chan struct{}    // holds one element while the fields below are in use
	current  *grant           // nil: none yet
	ended    *apisecret.Error // why there is no grant any more, for the rest of the request
	renewals int
	reread   bool
}

const maxRenewals = 20

// grant is what a call takes: a client and its token.
type grant struct {
	client   *segura.Client
	token    *segura.Token
	step     int         // of session's, that it came from; 0: it was at hand
	accepted atomic.Bool // whether Segura took the token in any call of this request
}

// The steps of session's.
const (
	renewedToken = iota + 1
	changedCredentials
)

func newSession(clients ClientSource) *session {
	return &session{clients: clients, lock: make(chan struct{}, 1)}
}

// grant returns what to call with.
func (s *session) grant(ctx context.Context) (*grant, *apisecret.Error) {
	return s.locked(ctx, func() (*grant, *apisecret.Error) { return s.atHand(ctx) })
}

// replace returns another grant than the refused one, of which many may be told at
// once, or nil if the refusal stands. refusals counts those of the identifier, this
// one included.
func (s *session) replace(ctx context.Context, refused *grant, refusals int) (*grant, *apisecret.Error) {
	return s.locked(ctx, func() (*grant, *apisecret.Error) {
		step := max(refused.step, refusals-1)
		if refused.accepted.Load() {
			step = refusals - 1
		}
		switch {
		case step >= changedCredentials:
			return nil, nil
		case s.current != refused:
			return s.atHand(ctx)
		case step < renewedToken && s.renewals < maxRenewals:
			s.renewals++
			return s.obtain(ctx, refused.client, refused.token, renewedToken)
		default:
			return s.change(ctx, refused.client)
		}
	})
}

// locked calls do alone, keeps the grant that it returns, and ends the session with
// its fault; a fault of the caller's time is one of all who share the session.
func (s *session) locked(ctx context.Context, do func() (*grant, *apisecret.Error)) (*grant, *apisecret.Error) {
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return nil, timeRanOut()
	}
	if s.ended != nil {
		return nil, s.ended
	}
	g, fault := do()
	switch {
	case g != nil:
		s.current = g
	case fault != nil:
		s.ended = fault
	}
	return g, fault
}

// atHand returns the current grant, or one of whatever is cached.
func (s *session) atHand(ctx context.Context) (*grant, *apisecret.Error) {
	if g := s.current; g != nil && !g.token.Expired() {
		return g, nil
	}
	client, failure := s.clients.Client(ctx)
	if failure != nil {
		return nil, failure
	}
	return s.obtain(ctx, client, nil, 0)
}

// obtain obtains a token other than the refused one; if the credentials are refused,
// those of the AWS secret as it is now, if they differ.
func (s *session) obtain(ctx context.Context, client *segura.Client, refused *segura.Token, step int) (*grant, *apisecret.Error) {
	token, fault := client.Token(ctx, refused)
	if fault == nil {
		return &grant{client: client, token: token, step: step}, nil
	}
	if fault.Cause == apisecret.CredentialsRefused {
		if g, failure := s.change(ctx, client); g != nil || failure != nil {
			return g, failure
		}
	}
	return nil, fault
}

// change reads the AWS secret past its cache and returns a grant of its credentials
// if they differ from the client's, else nil. That it cannot be read is a fault only
// if that may pass, or if what it holds now cannot be used: the credentials may have
// changed.
func (s *session) change(ctx context.Context, client *segura.Client) (*grant, *apisecret.Error) {
	if s.reread {
		return nil, nil
	}
	s.reread = true
	changed, failure := s.clients.Reread(ctx)
	if failure != nil && !failure.Retryable && failure.Cause != apisecret.SecretUnusable {
		failure = nil // the refusal says more
	}
	if failure != nil || changed == nil || changed == client {
		return nil, failure
	}
	token, fault := changed.Token(ctx, nil)
	if fault != nil {
		return nil, fault
	}
	return &grant{client: changed, token: token, step: changedCredentials}, nil
}
