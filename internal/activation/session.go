package activation

import (
	"context"
	"sync/atomic"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
)

// renewalInterval is how soon a token or credentials that were just renewed are
// not renewed again: what is refused then is refused for good, or for reasons
// of its own.
const renewalInterval = time.Minute

// grant is what a call takes: a client and its token. It is never changed.
type grant struct {
	client *segura.Client
	token  *segura.Token
}

// session holds the grant of one request, however many identifiers it has, and
// remembers what was refused, so that nothing refused is tried again.
type session struct {
	clients ClientSource
	current atomic.Pointer[grant]

	lock    chan struct{} // holds one element while the fields below are in use
	fault   *segura.Fault // why there is no grant; it stays for the whole request
	tokenAt time.Time     // when a refused token was last replaced
	credsAt time.Time     // when the credentials were last read again
}

func newSession(clients ClientSource) *session {
	return &session{clients: clients, lock: make(chan struct{}, 1)}
}

// grant returns the grant to call with.
func (s *session) grant(ctx context.Context) (*grant, *segura.Fault) {
	return s.renewed(ctx, nil, nil)
}

// renewed returns a grant other than the refused one, which may be nil, or the
// refusal if there is nothing else to try. Of many callers with the same refused
// grant, one renews it.
func (s *session) renewed(ctx context.Context, refused *grant, refusal *segura.Fault) (*grant, *segura.Fault) {
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
	var g *grant
	var fault *segura.Fault
	if refused == nil || refused != s.current.Load() {
		g, fault = s.first(ctx)
	} else {
		g, fault = s.replace(ctx, refused, refusal)
	}
	if fault != nil {
		if fault != refusal && fault.Code != apisecret.DeadlineExceeded {
			s.fault = fault
		}
		return nil, fault
	}
	s.current.Store(g)
	return g, nil
}

func (g *grant) usable(refused *grant) bool {
	return g != nil && g != refused && !g.token.Expired()
}

// first obtains a grant from whatever is cached.
func (s *session) first(ctx context.Context) (*grant, *segura.Fault) {
	client, failure := s.clients.Client(ctx)
	if failure != nil {
		return nil, segura.FaultOf(failure)
	}
	return s.token(ctx, client, nil)
}

// replace drops a refused token and fetches one more; if that was done just now,
// it goes back to the credentials.
func (s *session) replace(ctx context.Context, refused *grant, refusal *segura.Fault) (*grant, *segura.Fault) {
	if within(s.tokenAt, renewalInterval) {
		return s.reread(ctx, refused.client, refusal)
	}
	s.tokenAt = time.Now()
	return s.token(ctx, refused.client, refused.token)
}

// token obtains a token other than the refused one; if the credentials are
// refused, it goes back to them.
func (s *session) token(ctx context.Context, client *segura.Client, refused *segura.Token) (*grant, *segura.Fault) {
	token, fault := client.Token(ctx, refused)
	if fault == nil {
		return &grant{client, token}, nil
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
	if within(s.credsAt, renewalInterval) {
		return nil, fault
	}
	s.credsAt = time.Now()
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
	return &grant{changed, token}, nil
}

func within(at time.Time, d time.Duration) bool { return !at.IsZero() && time.Since(at) < d }
