package activation

import (
	"context"
	"sync/atomic"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
)

// Limits of re-authentication within one request, so that identifiers that are
// refused for reasons of their own do not wear out the token endpoint or Secrets
// Manager.
const (
	maxRenewals    = 20          // of the token
	rereadInterval = time.Minute // between two reads of the credentials past their cache
)

// grant is what a call takes: a client and its token.
type grant struct {
	client   *segura.Client
	token    *segura.Token
	accepted atomic.Bool // whether Segura took the token in any call of this request
}

// rejection is what came of a call whose token was refused; nil is none.
type rejection struct {
	grant *grant
	fault *segura.Fault
	times int // of the same identifier, this one included
}

// session holds the grant of one request, however many identifiers it has, and
// remembers what was refused, so that nothing refused is tried again.
type session struct {
	clients ClientSource
	current atomic.Pointer[grant]

	lock     chan struct{} // holds one element while the fields below are in use
	fault    *segura.Fault // why there is no grant; it stays for the whole request
	renewals int           // of refused tokens, so far
	rereadAt time.Time     // when the credentials were last read past their cache
}

func newSession(clients ClientSource) *session {
	return &session{clients: clients, lock: make(chan struct{}, 1)}
}

// grant returns a grant to call with: another one than was refused, if any was,
// or the fault of the refusal if there is nothing else to try. Of many callers
// with the same refused grant, one renews it.
func (s *session) grant(ctx context.Context, refused *rejection) (*grant, *segura.Fault) {
	if g := s.current.Load(); g.usable(refused) {
		return g, nil
	}
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return nil, timeRanOut()
	}
	if s.fault != nil {
		return nil, s.fault
	}
	if g := s.current.Load(); g.usable(refused) {
		return g, nil
	}
	g, fault := s.renew(ctx, refused)
	if fault == nil {
		s.current.Store(g)
		return g, nil
	}
	if fault.Code != apisecret.DeadlineExceeded && (refused == nil || fault != refused.fault) {
		s.fault = fault
	}
	return nil, fault
}

func (s *session) renew(ctx context.Context, refused *rejection) (*grant, *segura.Fault) {
	if refused == nil || refused.grant != s.current.Load() {
		return s.first(ctx)
	}
	return s.replace(ctx, refused)
}

func (g *grant) usable(refused *rejection) bool {
	return g != nil && (refused == nil || g != refused.grant) && !g.token.Expired()
}

// first obtains a grant from whatever is cached.
func (s *session) first(ctx context.Context) (*grant, *segura.Fault) {
	client, failure := s.clients.Client(ctx)
	if failure != nil {
		return nil, segura.FaultOf(failure)
	}
	return s.token(ctx, client, nil)
}

// replace drops a refused token and fetches one more. If it is a fresh one that
// nobody's call was accepted with, or the identifier's second, it goes back to
// the credentials.
func (s *session) replace(ctx context.Context, refused *rejection) (*grant, *segura.Fault) {
	fresh := s.renewals > 0 && !refused.grant.accepted.Load()
	if fresh || refused.times > 1 || s.renewals >= maxRenewals {
		return s.reread(ctx, refused.grant.client, refused.fault)
	}
	s.renewals++
	return s.token(ctx, refused.grant.client, refused.grant.token)
}

// token obtains a token other than the refused one; if the credentials are
// refused, it goes back to them.
func (s *session) token(ctx context.Context, client *segura.Client, refused *segura.Token) (*grant, *segura.Fault) {
	token, fault := client.Token(ctx, refused)
	if fault == nil {
		return &grant{client: client, token: token}, nil
	}
	if fault.RefusedCredentials {
		return s.reread(ctx, client, fault)
	}
	return nil, fault
}

// reread reads the credentials past their cache and tries them once if they have
// changed. If they have not, the fault stands; so it does if they cannot be read,
// unless that may pass: they may have changed all the same.
func (s *session) reread(ctx context.Context, client *segura.Client, fault *segura.Fault) (*grant, *segura.Fault) {
	if !s.rereadAt.IsZero() && time.Since(s.rereadAt) < rereadInterval {
		return nil, fault
	}
	s.rereadAt = time.Now()
	changed, failure := s.clients.Reread(ctx)
	switch {
	case failure != nil && failure.Retryable:
		return nil, segura.FaultOf(failure)
	case failure != nil || changed == client:
		return nil, fault
	}
	token, tokenFault := changed.Token(ctx, nil)
	if tokenFault != nil {
		return nil, tokenFault
	}
	return &grant{client: changed, token: token}, nil
}
