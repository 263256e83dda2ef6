package seguratest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// RefusalStyle is how Segura says that a token is missing, unknown, expired or
// revoked.
type RefusalStyle int

// The styles of refusal.
const (
	// RefusedByGateway is the gateway's 404 "no Route matched with those
	// values", as for a wrong path.
	RefusedByGateway RefusalStyle = iota
	// RefusedAuthentication is 401 "Client authentication failed".
	RefusedAuthentication
	// RefusedInactive is 401 "Inactive authorization".
	RefusedInactive
	// RefusedAuthenticationAs200 and RefusedInactiveAs200 have HTTP status 200
	// and the 401 in the envelope only.
	RefusedAuthenticationAs200
	RefusedInactiveAs200
)

// refusals are the envelopes of the styles that have one.
var refusals = map[RefusalStyle]struct {
	httpStatus int
	message    string
}{
	RefusedAuthentication:      {401, messageAuthentication},
	RefusedInactive:            {401, messageInactive},
	RefusedAuthenticationAs200: {200, messageAuthentication},
	RefusedInactiveAs200:       {200, messageInactive},
}

// refusal is the answer to a call whose token is not honoured.
func (x *exchange) refusal(style RefusalStyle) reply {
	if envelope, ok := refusals[style]; ok {
		return x.server.speaks().envelope(envelope.httpStatus, 401, envelope.message, 0, "")
	}
	return x.gateway(404, messageNoRoute)
}

// honours reports whether the call has a token that is honoured, and how it is
// refused if not.
func (x *exchange) honours() (refusal RefusalStyle, ok bool) {
	scheme, token, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	s := x.server
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusal, scheme == "Bearer" && s.options.Now().Before(s.valid[token])
}

// newToken looks like a JWT with {"typ":"JWT","alg":"RS256"}.
func newToken() string {
	return "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + rand.Text() + rand.Text() + "." + rand.Text() + rand.Text()
}

// requestID is 32 hexadecimal digits, like Kong's.
func requestID() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

// issue makes a token that is honoured until it expires or is revoked.
func (s *Server) issue() string {
	token, end := newToken(), s.options.Now().Round(0).Add(s.options.TokenLifetime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.valid[token] = end
	s.issued = append(s.issued, token)
	return token
}

// RevokeTokens refuses every token issued so far from now on.
func (s *Server) RevokeTokens() { s.locked(func() { clear(s.valid) }) }

// RotateClientSecret gives the access key of ClientID another secret; the old
// one is refused from now on. Tokens issued for it stay valid: see RevokeTokens.
func (s *Server) RotateClientSecret(newSecret string) {
	s.AddCredentials(s.options.ClientID, newSecret)
}

// AddCredentials adds an access key, or replaces the secret of one.
func (s *Server) AddCredentials(clientID, clientSecret string) {
	s.locked(func() { s.accessKeys[clientID] = clientSecret })
}

// RefuseToken sets how refused tokens are answered from now on. It refuses
// none by itself: see RevokeTokens, and [TokenRefused] for fresh ones.
func (s *Server) RefuseToken(style RefusalStyle) { s.locked(func() { s.refusal = style }) }

// Tokens are all access tokens issued since the server began, in order: what no
// log may hold.
func (s *Server) Tokens() (tokens []string) {
	s.locked(func() { tokens = slices.Clone(s.issued) })
	return tokens
}

// answerToken is the token endpoint, in the words of league/oauth2-server.
func (x *exchange) answerToken() reply {
	o, form := x.server.options, x.request.Form
	id, secret := x.credentials()
	var known bool
	x.server.locked(func() {
		want, ok := x.server.accessKeys[id]
		known = ok && secret == want
	})
	switch {
	case form.Get("grant_type") != "client_credentials":
		return oauthError(400, "unsupported_grant_type", "The authorization grant type is not supported by the authorization server.")
	case !known, o.Tenant != "" && form.Get("tenant") != o.Tenant:
		return invalidClient()
	}
	seconds := (o.TokenLifetime + time.Second - 1) / time.Second
	return jsonReply(200, fmt.Sprintf(`{"token_type":"Bearer","expires_in":%d,"access_token":"%s"}`, seconds, x.server.issue()))
}

// credentials are those of the form, or else of HTTP Basic, form-decoded as RFC
// 6749 2.3.1 has it.
func (x *exchange) credentials() (id, secret string) {
	if form := x.request.Form; form.Has("client_id") {
		return form.Get("client_id"), form.Get("client_secret")
	}
	id, secret, _ = x.r.BasicAuth()
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	if errID != nil || errSecret != nil {
		return "", ""
	}
	return id, secret
}

func invalidClient() reply { return oauthError(401, "invalid_client", messageAuthentication) }

func oauthError(status int, code, description string) reply {
	return jsonReply(status, fmt.Sprintf(`{"error":%[1]q,"error_description":%[2]q,"message":%[2]q}`, code, description))
}
