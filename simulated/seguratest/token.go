package seguratest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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

// tokenHeader is a JWT's {"typ":"JWT","alg":"RS256"}.
const tokenHeader = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9."

// authority knows the access keys and the tokens issued for them.
type authority struct {
	options Options

	mu      sync.Mutex
	secrets map[string]string    // client_id -> client_secret
	valid   map[string]time.Time // token -> end
	issued  []string
	style   RefusalStyle
}

func newAuthority(o Options) *authority {
	a := &authority{options: o, valid: map[string]time.Time{}}
	a.reset()
	return a
}

func (a *authority) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets = map[string]string{a.options.ClientID: a.options.ClientSecret}
	a.style = RefusedByGateway
}

func (a *authority) secret(clientID string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.secrets[clientID]
}

func (a *authority) knows(clientID, clientSecret string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	secret, ok := a.secrets[clientID]
	return ok && subtle.ConstantTimeCompare([]byte(secret), []byte(clientSecret)) == 1
}

// issue makes a token that is honoured until it expires or is revoked.
func (a *authority) issue() string {
	token := strangeToken()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.valid[token] = a.options.Now().Round(0).Add(a.options.TokenLifetime)
	a.issued = append(a.issued, token)
	return token
}

// strangeToken looks like a token and was not issued.
func strangeToken() string {
	random := make([]byte, 96)
	_, _ = rand.Read(random) // never fails
	encode := base64.RawURLEncoding.EncodeToString
	return tokenHeader + encode(random[:64]) + "." + encode(random[64:])
}

func (a *authority) honours(token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	end, ok := a.valid[token]
	return ok && a.options.Now().Before(end)
}

func (a *authority) refusal() RefusalStyle {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.style
}

// RevokeTokens refuses every token issued so far from now on.
func (s *Server) RevokeTokens() {
	s.authority.mu.Lock()
	defer s.authority.mu.Unlock()
	clear(s.authority.valid)
}

// RotateClientSecret gives the access key of ClientID another secret; the old
// one is refused from now on. Tokens issued for it stay valid: see RevokeTokens.
func (s *Server) RotateClientSecret(newSecret string) {
	s.authority.mu.Lock()
	defer s.authority.mu.Unlock()
	s.authority.secrets[s.options.ClientID] = newSecret
}

// AddCredentials adds an access key, or replaces the secret of one.
func (s *Server) AddCredentials(clientID, clientSecret string) {
	s.authority.mu.Lock()
	defer s.authority.mu.Unlock()
	s.authority.secrets[clientID] = clientSecret
}

// RefuseToken sets how refused tokens are answered from now on. It refuses
// none by itself: see RevokeTokens, and [TokenRefused] for fresh ones.
func (s *Server) RefuseToken(style RefusalStyle) {
	s.authority.mu.Lock()
	defer s.authority.mu.Unlock()
	s.authority.style = style
}

// Tokens are all access tokens issued since the server began, in order: what no
// log may hold.
func (s *Server) Tokens() []string {
	s.authority.mu.Lock()
	defer s.authority.mu.Unlock()
	return slices.Clone(s.authority.issued)
}

// answerToken is the token endpoint, in the words of league/oauth2-server.
func (x *exchange) answerToken() reply {
	form := x.request.Form
	if form.Get("grant_type") != "client_credentials" {
		return oauthError(400, "unsupported_grant_type",
			"The authorization grant type is not supported by the authorization server.",
			"Check that all required parameters have been provided")
	}
	id, secret, ok := x.credentials()
	if !ok {
		return oauthError(400, "invalid_request",
			"The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed.",
			"Check the `client_id` parameter")
	}
	tenant := x.server.options.Tenant
	if !x.server.authority.knows(id, secret) || tenant != "" && form.Get("tenant") != tenant {
		return x.invalidClient()
	}
	seconds := (x.server.options.TokenLifetime + time.Second - 1) / time.Second
	return tokenReply(fmt.Sprintf(`{"token_type":"Bearer","expires_in":%d,"access_token":"%s"}`,
		seconds, x.server.authority.issue()))
}

// credentials are those of the form, or else of HTTP Basic, form-decoded as RFC
// 6749 2.3.1 has it. It reports whether there is a client_id.
func (x *exchange) credentials() (id, secret string, ok bool) {
	form := x.request.Form
	if form.Has("client_id") {
		return form.Get("client_id"), form.Get("client_secret"), true
	}
	id, secret, ok = x.r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return id, secret, errID == nil && errSecret == nil
}

func (x *exchange) invalidClient() reply {
	a := oauthError(401, "invalid_client", messageAuthentication, "")
	if authorization := x.r.Header.Get("Authorization"); authorization != "" {
		scheme := "Basic"
		if strings.HasPrefix(authorization, "Bearer") {
			scheme = "Bearer"
		}
		a.header.Set("WWW-Authenticate", scheme+` realm="OAuth"`)
	}
	return a
}

func tokenReply(body string) reply {
	a := textReply(http.StatusOK, "application/json; charset=UTF-8", body)
	a.header.Set("Cache-Control", "no-store")
	a.header.Set("Pragma", "no-cache")
	return a
}

func oauthError(status int, code, description, hint string) reply {
	if hint != "" {
		hint = `"hint":` + quote(hint) + `,`
	}
	return jsonReply(status, fmt.Sprintf(`{"error":%s,"error_description":%s,%s"message":%s}`,
		quote(code), quote(description), hint, quote(description)))
}

// refusedToken is the answer to a call whose token is not honoured.
func (x *exchange) refusedToken(style RefusalStyle) reply {
	envelope := func(httpStatus int, message string) reply {
		return x.server.speaks().envelope(httpStatus, 401, message, exception{})
	}
	switch style {
	case RefusedAuthentication:
		return envelope(401, messageAuthentication)
	case RefusedInactive:
		return envelope(401, messageInactive)
	case RefusedAuthenticationAs200:
		return envelope(200, messageAuthentication)
	case RefusedInactiveAs200:
		return envelope(200, messageInactive)
	case RefusedByGateway:
	}
	return x.gateway(http.StatusNotFound, messageNoRoute)
}

// bearer is the access token of a call; empty where there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// requestID is 32 hexadecimal digits, like Kong's.
func requestID() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}
