package segura

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

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
	texts   *secretTexts // the value's; nil: there is none
	expires time.Time
}

// Expired reports whether the token has expired or is about to.
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
func (c *Client) Token(ctx context.Context, refused *Token) (*Token, *apisecret.Error) {
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
		var fault *apisecret.Error
		switch {
		case err == nil && t == refused:
			// It was handed out by somebody to whom it had not been refused.
		case err == nil:
			return t, nil
		case errors.As(err, &fault):
			return nil, fault
		default:
			return nil, apisecret.NewError(apisecret.DeadlineExceeded, "")
		}
	}
}

// FreshToken returns a new token even if the cache holds one, which it replaces.
func (c *Client) FreshToken(ctx context.Context) (*Token, *apisecret.Error) {
	return c.Token(ctx, c.cached.Load())
}

// fetchToken requests a token, repeatedly against transient faults, and caches
// it.
func (c *Client) fetchToken(ctx context.Context) (*Token, error) {
	var last *apisecret.Error
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
	c.options.Redactor.addToken(t.texts)
	c.cached.Store(t)
}

// requestToken makes one token request.
//
// Source: Segura's page "Authentication", a client credentials grant (RFC 6749,
// 4.4). golang.org/x/oauth2 makes the request and reads the token. Of other replies
// it loses the status and the body where a 2xx is no token in the form that it
// expects, and it takes a lifetime that is no number for an error: what is not a
// token to it is read here, like every other reply.
func (c *Client) requestToken(ctx context.Context) (*Token, *apisecret.Error) {
	var r reply
	var fault *apisecret.Error
	send := roundTripper(func(request *http.Request) (*http.Response, error) {
		if r, fault = c.send(request.Context(), request, maxBody); fault != nil {
			return nil, fault
		}
		return r.response(request), nil
	})
	neverRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: send, CheckRedirect: neverRedirect})
	t, err := c.access().form.Token(ctx)
	switch {
	case fault != nil:
		return nil, ofTokenRequest(fault)
	case r.status == 0:
		return nil, apisecret.NewError(apisecret.InternalError, "")
	case err == nil && r.status == http.StatusOK && isBearer(t.AccessToken, t.TokenType):
		return newToken(t.AccessToken, time.Until(t.Expiry)), nil
	default:
		return c.readToken(r)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// readToken reads the reply to a token request.
func (c *Client) readToken(r reply) (*Token, *apisecret.Error) {
	said := readContent(r.body)
	token, _ := strictjson.String(said.members["access_token"])
	kind, _ := strictjson.String(said.members["token_type"])
	if r.status == http.StatusOK && r.incomplete == nil && !said.flagged && isBearer(token, kind) {
		seconds, _ := number(said.members["expires_in"])
		return newToken(token, time.Duration(min(seconds, math.MaxInt32))*time.Second), nil
	}
	fault := ofTokenRequest(replyFault(r, said, time.Now()))
	switch {
	case fault.Cause == apisecret.TokenRefused:
		fault.Cause = apisecret.CredentialsRefused
	case said.oauthError == "unauthorized_client" || said.oauthError == "invalid_grant":
		refused := newFault(apisecret.AuthenticationFailed, "", apisecret.CredentialsRefused)
		refused.HTTPStatus, fault = fault.HTTPStatus, refused
	}
	if len(token) > longestToken {
		return nil, fault // of which nothing is quoted: to look for all of it takes more memory than there may be
	}
	for _, text := range []*string{&said.message, &said.oauthDescription, &said.oauthError, &said.title} {
		*text = maskOpaque(*text)
	}
	if said.members == nil && r.status/100 == 2 {
		said = content{requestID: said.requestID, title: said.title} // what is no JSON may be a token
	}
	message, requestID := c.quote(r, said, newSecretTexts(token))
	return nil, withQuote(fault, message, requestID)
}

// longestWord is how many characters a word of a message has at most: what is longer
// may be a token.
const longestWord = 24

// maskOpaque returns the text with what may be a token masked.
func maskOpaque(text string) string {
	return regexp.MustCompile(`\S+`).ReplaceAllStringFunc(text, func(one string) string {
		if utf8.RuneCountInString(one) > longestWord {
			return redacted
		}
		return one
	})
}

// longestToken is how many bytes a token has at most: nginx, and Kong with it, takes no
// header of more than 8 KiB (large_client_header_buffers).
const longestToken = 8 << 10

// isBearer reports whether the token can be sent as a Bearer token: RFC 6750 allows
// it no white space or control characters, which could forge a header.
func isBearer(value, kind string) bool {
	return value != "" && len(value) <= longestToken && (kind == "" || strings.EqualFold(kind, "Bearer")) &&
		!strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
}

// newToken returns a token of that lifetime; a lifetime of zero or less is unknown.
func newToken(value string, lifetime time.Duration) *Token {
	if lifetime <= 0 {
		lifetime = unknownLifetime
	}
	lifetime = min(lifetime, longestLifetime)
	margin := min(longestMargin, lifetime/10)
	return &Token{value: Hide(value), texts: newSecretTexts(value), expires: wallClock().Add(lifetime - margin)}
}
