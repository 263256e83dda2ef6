package segura

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// Lifetimes of a token, on the wall clock, since Lambda freezes the process and
// with it the monotonic clock.
const (
	unknownLifetime = 5 * time.Minute // of a token without a usable expires_in
	longestLifetime = 24 * time.Hour
	longestMargin   = 10 * time.Second // a token is not used this close to its end
)

// Token is an access token. It is never changed; two tokens are the same if
// their pointers are.
type Token struct {
	value   Sensitive
	hidden  func() *secretTexts // the value; behind a function, where no print finds it
	expires time.Time
}

// secretTexts returns the token as a text that must not be seen; nil if it has none.
func (t *Token) secretTexts() *secretTexts {
	if t.hidden == nil {
		return nil
	}
	return t.hidden()
}

// Expired tells whether the token has expired or is about to.
func (t *Token) Expired() bool { return !wallClock().Before(t.expires) }

// wallClock returns the time without its monotonic part.
func wallClock() time.Time { return time.Now().Round(0) }

// newTokenForm returns a token request, ready but for its transport.
func newTokenForm(c Credentials, address string) (*clientcredentials.Config, error) {
	var style oauth2.AuthStyle
	switch c.AuthStyle {
	case "", AuthBody:
		style = oauth2.AuthStyleInParams
	case AuthBasic:
		style = oauth2.AuthStyleInHeader
	default:
		return nil, errors.New(`auth_style is neither "body" nor "basic"`)
	}
	parameters := url.Values{}
	if c.Tenant != "" {
		parameters.Set("tenant", c.Tenant)
	}
	return &clientcredentials.Config{
		ClientID:       c.ClientID,
		ClientSecret:   c.ClientSecret.Reveal(),
		TokenURL:       address,
		EndpointParams: parameters,
		AuthStyle:      style,
	}, nil
}

// Token returns an access token: the cached one, unless it has expired or is the
// refused one, else a new one. However many callers wait, one request is made at
// a time, and each waits no longer than its own context. refused may be nil.
func (c *Client) Token(ctx context.Context, refused *Token) (*Token, *Fault) {
	if t := c.cached.Load(); t != nil && t != refused && !t.Expired() {
		return t, nil
	}
	for {
		t, err := c.flight.Do(ctx, func(ctx context.Context) (*Token, error) {
			if t := c.cached.Load(); t != nil && t != refused && !t.Expired() {
				return t, nil
			}
			return c.fetchToken(ctx)
		})
		var fault *Fault
		switch {
		case err == nil && t == refused:
			// It was handed out by somebody to whom it had not been refused.
		case err == nil:
			return t, nil
		case errors.As(err, &fault):
			return nil, fault
		default:
			return nil, NewFault(apisecret.DeadlineExceeded)
		}
	}
}

// FreshToken returns a new token even if the cache holds one, which it replaces.
func (c *Client) FreshToken(ctx context.Context) (*Token, *Fault) {
	return c.Token(ctx, c.cached.Load())
}

// fetchToken requests a token, repeatedly against transient faults, and caches
// it.
func (c *Client) fetchToken(ctx context.Context) (*Token, error) {
	var last *Fault
	for made := 1; ; made++ {
		began := time.Now()
		t, fault := c.requestToken(ctx)
		if c.options.OnTokenCall != nil {
			c.options.OnTokenCall(ctx, time.Since(began))
		}
		switch {
		case fault == nil:
			c.keep(t)
			return t, nil
		case fault.Code == apisecret.DeadlineExceeded && last != nil:
			return nil, last // the fault that took the time
		case !fault.Retryable || !c.options.Retry.Wait(ctx, made, fault.RetryAfter):
			return nil, fault
		}
		last = fault
	}
}

// keep caches a token.
func (c *Client) keep(t *Token) {
	c.options.Redactor.addToken(t.secretTexts())
	c.cached.Store(t)
}

// requestToken makes one token request.
//
// Source: Segura's page "Authentication", a client credentials grant (RFC 6749,
// 4.4). The request is made by golang.org/x/oauth2; its reply is read here, like
// every other, because that package loses the status of a garbled one, takes a
// lifetime that is no number for an error, and quotes the body in its errors.
func (c *Client) requestToken(ctx context.Context) (*Token, *Fault) {
	var t *Token
	var fault *Fault
	exchange := roundTripper(func(request *http.Request) (*http.Response, error) {
		r, noReply := c.send(ctx, request)
		if noReply != nil {
			fault = noReply
			return nil, fault
		}
		if t, fault = c.readToken(r); fault != nil {
			return nil, fault
		}
		return tokenResponse(request), nil
	})
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: exchange})
	_, err := c.access().form.Token(ctx)
	switch {
	case fault != nil:
		return nil, fault
	case err != nil || t == nil:
		return nil, internalFault()
	default:
		return t, nil
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// tokenResponse tells golang.org/x/oauth2 that all went well. The token itself
// does not go through it.
func tokenResponse(request *http.Request) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(bytes.NewReader([]byte(`{"access_token":"read elsewhere","token_type":"Bearer"}`))),
		Request:    request,
	}
}

// readToken reads the reply to a token request.
func (c *Client) readToken(r reply) (*Token, *Fault) {
	said := readContent(r.body)
	token, _ := strictjson.String(said.members["access_token"])
	if r.status == http.StatusOK && r.incomplete == nil && isBearer(token, said.members["token_type"]) {
		return newToken(token, said.members["expires_in"]), nil
	}
	fault := replyFault(r, said, time.Now())
	switch code, _ := strictjson.String(said.members["error"]); {
	case fault.RefusedToken:
		fault.RefusedToken, fault.RefusedCredentials = false, true
	case code == "unauthorized_client" || code == "invalid_grant":
		refused := NewFault(apisecret.AuthenticationFailed)
		refused.HTTPStatus, refused.RefusedCredentials = fault.HTTPStatus, true
		fault = refused
	}
	fault.UpstreamMessage, fault.UpstreamRequestID = c.quote(r, said, newSecretTexts(token))
	return nil, fault
}

// isBearer tells whether the token can be sent as a Bearer token: RFC 6750 allows
// it no white space or control characters, which could forge a header.
func isBearer(value string, kind json.RawMessage) bool {
	if text, ok := strictjson.String(kind); ok && text != "" && !strings.EqualFold(text, "Bearer") {
		return false
	}
	return value != "" && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
}

func newToken(value string, expiresIn json.RawMessage) *Token {
	lifetime := unknownLifetime
	if seconds, ok := number(expiresIn); ok && seconds > 0 {
		lifetime = longestLifetime
		if seconds < int(longestLifetime/time.Second) {
			lifetime = time.Duration(seconds) * time.Second
		}
	}
	margin := min(longestMargin, lifetime/10)
	texts := newSecretTexts(value)
	return &Token{value: Hide(value), hidden: func() *secretTexts { return texts }, expires: wallClock().Add(lifetime - margin)}
}
