// Package segura is the HTTP client of Segura's MySafe API: it obtains access
// tokens, enables and disables API secrets, and reads what Segura and the
// gateway in front of it reply, in every generation. It knows nothing of AWS;
// what is done with many identifiers is left to its caller.
package segura

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/flight"
)

// Options are what a Client needs besides the credentials.
type Options struct {
	UserAgent      string        // of every request
	AttemptTimeout time.Duration // limit of one attempt, from dialing to the reply's last byte
	Retry          Retry         // of a token call; calls that enable are repeated by the caller
	Connections    int           // how many calls may be in flight at once
	Redactor       *Redactor     // shared by a client and its predecessors; nil: the client's own

	// OnTokenCall is told of each token call, with how long it took. It may be
	// nil, and is called by several goroutines at once.
	OnTokenCall func(context.Context, time.Duration)
}

// Client calls one Segura with one set of credentials. It may be used by several
// goroutines at once.
type Client struct {
	options   Options
	access    func() *access // a function, where no print finds the credentials
	transport *http.Transport
	leftOut   []string
	lastUse   atomic.Int64 // Unix seconds

	certificateAsked *atomic.Bool // whether a server ever asked for ours
	replied          atomic.Bool  // whether any reply ever came

	cached atomic.Pointer[Token]
	flight flight.Group[*Token]
}

// access is what a client makes of the credentials.
type access struct {
	addresses addresses
	referer   string
	form      *clientcredentials.Config // the token request, but for its transport
}

// Limits of what is read of a reply, in bytes; Segura's replies are far shorter.
const (
	maxBody   = 256 << 10
	maxHeader = 64 << 10
)

// idleTimeout is below the 60 to 75 seconds after which gateways commonly close
// an idle connection.
const idleTimeout = 50 * time.Second

// New returns a client, or an error that names the field of the credentials that
// cannot be used and repeats no value. It connects to nothing.
func New(c Credentials, o Options) (*Client, error) {
	switch {
	case c.BaseURL == "":
		return nil, errors.New("base_url is missing")
	case c.ClientID == "":
		return nil, errors.New("client_id is missing")
	case c.ClientSecret.Reveal() == "":
		return nil, errors.New("client_secret is missing")
	}
	addresses, err := newAddresses(c)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(c.Referer, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("referer has characters that a header cannot carry")
	}
	form, err := newTokenForm(c, addresses.token)
	if err != nil {
		return nil, err
	}
	if o.Redactor == nil {
		o.Redactor = &Redactor{}
	}
	a := &access{addresses: addresses, referer: c.Referer, form: form}
	client := &Client{options: o, access: func() *access { return a }, certificateAsked: new(atomic.Bool)}
	config, leftOut, err := newTLSConfig(c, client.certificateAsked)
	if err != nil {
		return nil, err
	}
	client.leftOut = leftOut
	client.transport = newTransport(config, o)
	o.Redactor.addCredentials(c.secretTexts()) // those that are never sent would push out others
	return client, nil
}

// LeftOut names the blocks of ca_certificate that could not be used, each in words.
func (c *Client) LeftOut() []string { return c.leftOut }

// newTLSConfig notes in asked whether a server ever asks for our certificate, and
// returns what it left out of ca_certificate.
func newTLSConfig(c Credentials, asked *atomic.Bool) (config *tls.Config, leftOut []string, err error) {
	config = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
	}
	if c.CACertificate != "" {
		if config.RootCAs, leftOut, err = ReadCertificates(c.CACertificate); err != nil {
			return nil, nil, fmt.Errorf("ca_certificate: %w", err)
		}
	}
	pair, err := readPair(c.ClientCertificate, c.ClientKey.Reveal())
	if err != nil {
		return nil, nil, err
	}
	// Presented whatever authorities the gateway names: it may know only the root
	// of a longer chain.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked.Store(true)
		return &pair, nil
	}
	return config, leftOut, nil
}

// newTransport speaks HTTP/1.1, which every gateway does: a single call takes less CPU
// time than over HTTP/2 (docs/performance.md).
func newTransport(config *tls.Config, o Options) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Transport{
		Protocols:              protocols,
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: refuseByProxy,
		DialContext:            dialWire((&net.Dialer{Timeout: o.AttemptTimeout}).DialContext),
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    o.AttemptTimeout,
		MaxConnsPerHost:        o.Connections,
		MaxIdleConnsPerHost:    o.Connections,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // the replies are short, and a bomb stays packed
	}
}

// send sends a request and reads its reply, up to so many bytes, within one attempt's
// timeout. Redirects are replies like any other. The fault says that there was no
// reply; one that came is for the caller to judge.
func (c *Client) send(ctx context.Context, request *http.Request, most int64) (reply, *apisecret.Error) {
	c.dropStaleConnections()
	attempt, cancel := context.WithTimeout(ctx, c.options.AttemptTimeout)
	defer cancel()
	over := &exchange{}
	request = c.prepare(request.WithContext(over.watch(attempt)))
	over.again = func() {
		c.transport.CloseIdleConnections() // so that it is repeated on a new one
		delete(request.Header, repeatable) // once
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		c.transport.CloseIdleConnections() // the others are probably as dead as this one
		if over.replied.Load() {
			return reply{}, headerFault(ctx, attempt, err)
		}
		return reply{}, c.sendFault(ctx, attempt, c.withAlert(attempt, request, err))
	}
	c.replied.Store(true)
	defer func() { _ = response.Body.Close() }()
	if over.isStale() {
		return reply{}, apisecret.NewError(apisecret.UpstreamInvalidResponse, "")
	}
	r := reply{status: response.StatusCode, header: response.Header}
	if r.status == http.StatusSwitchingProtocols {
		return r, nil // what follows is no body, and reading it would not end with the attempt
	}
	if r.body, err = io.ReadAll(io.LimitReader(response.Body, most)); err != nil {
		r.incomplete = readFault(ctx, attempt)
	}
	return r, nil
}

// repeatable is a header that, with no values, is not sent. It has net/http repeat a
// request where a kept-open connection turns out to be closed, as while Lambda froze the
// process: that is no attempt, and every request of ours may be repeated.
const repeatable = "Idempotency-Key"

// prepare sets the headers that every request has.
func (c *Client) prepare(request *http.Request) *http.Request {
	request.Header[repeatable] = nil
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "identity") // without it, any coding would be welcome
	request.Header.Set("User-Agent", c.options.UserAgent)
	if referer := c.access().referer; referer != "" {
		request.Header.Set("Referer", referer)
	}
	return request
}

// dropStaleConnections closes idle connections that the other side has probably
// closed. The transport's own timer does not count the time for which Lambda
// froze the process; the wall clock does.
func (c *Client) dropStaleConnections() {
	now := time.Now().Unix()
	if last := c.lastUse.Swap(now); now-last >= int64(idleTimeout.Seconds()) {
		c.transport.CloseIdleConnections()
	}
}

// Close closes the idle connections. A client that is still in use goes on
// working.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
