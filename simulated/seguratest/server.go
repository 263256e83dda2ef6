package seguratest

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// What the zero Options stand for.
const (
	DefaultClientSecret = "client-secret-of-the-simulated-segura"
	DefaultTokenPath    = "/api/oauth2/token"

	defaultEnablePath  = "/api/mysafe/secretapi/active/{identifier}"
	defaultDisablePath = "/api/mysafe/secretapi/inactive/{identifier}"
)

// Options say what the simulated Segura is like. The zero value is usable.
type Options struct {
	// Address to listen on; empty means "127.0.0.1:0".
	Address string
	// BasePath is the path prefix of everything; empty means "/pam", "/" none.
	BasePath string
	// TokenPath, EnablePath and DisablePath, under the base path; empty means
	// the vendor's. The last two contain "{identifier}".
	TokenPath, EnablePath, DisablePath string

	// ClientID and ClientSecret are the credentials of the one access key; empty
	// means a made-up id and [DefaultClientSecret].
	ClientID, ClientSecret string
	// Tenant, when set, must be carried by every token request.
	Tenant string
	// TokenLifetime is how long a token is honoured; zero means one hour.
	// expires_in is its whole seconds, rounded up.
	TokenLifetime time.Duration
	// Now is the clock by which tokens expire; nil means time.Now.
	Now func() time.Time

	// APISecrets are the API secrets by identifier; nil means [Sample].
	APISecrets map[int64]APISecret
	// AnyIdentifier makes every identifier that is not in APISecrets an
	// inactive API secret, instead of a missing one.
	AnyIdentifier bool
	// Generation is the version whose replies are spoken.
	Generation Generation
	// OlderGateway leaves request_id and X-Kong-Request-Id out.
	OlderGateway bool
	// RequireClientCertificate ends the TLS handshake of clients without a
	// certificate of our CA. Otherwise one may be presented, and is recorded.
	RequireClientCertificate bool
	// Referer, when set, must be the Referer of every call but the token's.
	Referer string
	// Latency is added to every answer.
	Latency Latency
	// TLS is for servers whose TLS is not as it should be.
	TLS TLSOptions
}

// Latency is added before every answer, faults included.
type Latency struct {
	// Token and Call are for token requests and for everything else.
	Token, Call time.Duration
	// Jitter adds up to this much more, at random.
	Jitter time.Duration
}

// Server is a running simulated Segura. All methods may be called at once from
// many goroutines.
type Server struct {
	options Options
	certs   *certificates
	door    *door
	http    *http.Server
	routes  []route

	mu     sync.Mutex
	delays Latency
	valid  map[string]time.Time // tokens, with their end
	issued []string             // tokens, in order
	flying map[Kind]int         // requests under way
	state
}

// state is what Reset brings back to the start.
type state struct {
	generation Generation
	apiSecrets map[int64]APISecret
	accessKeys map[string]string // client_id -> client_secret
	refusal    RefusalStyle
	rules      []*rule
	requests   []*Request
	peaks      map[Kind]int
}

// New starts a server. It runs until Close.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	certs, err := newCertificates(o)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	s := &Server{
		options: o, certs: certs, routes: newRoutes(o),
		delays: o.Latency, valid: map[string]time.Time{}, flying: map[Kind]int{},
	}
	s.state = s.fresh()
	s.http = s.newHTTPServer()
	// The error of ServeTLS is always that of a listener that we have closed.
	s.door, err = openDoor(o.Address, func(l net.Listener) { _ = s.http.ServeTLS(l, "", "") })
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Address, err)
	}
	return s, nil
}

func (s *Server) fresh() state {
	return state{
		generation: s.options.Generation,
		apiSecrets: maps.Clone(s.options.APISecrets),
		accessKeys: map[string]string{s.options.ClientID: s.options.ClientSecret},
		peaks:      maps.Clone(s.flying),
	}
}

func (s *Server) newHTTPServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // for the bench's peers
	return &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		TLSConfig:         s.certs.serverConfig(s.options),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 128}, // nginx's, and so Kong's, default
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnContext:       withConnection,
	}
}

// TB is the part of testing.TB that Start uses.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start is New for tests: it fails t instead of returning an error, and closes
// the server when t ends.
func Start(t TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatalf("start the simulated Segura: %v", err)
		return nil
	}
	t.Cleanup(s.Close)
	return s
}

// Close ends every connection, hanging ones included, and waits for the
// handlers. It may be called more than once.
func (s *Server) Close() {
	s.door.close() // and with their connections all requests end
	_ = s.http.Shutdown(context.Background())
}

// locked does what the lock is for.
func (s *Server) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// URL is the base_url, with the base path and without a trailing slash.
func (s *Server) URL() string { return "https://" + s.Address() + s.options.BasePath }

// Address is the host and port of the server, as clients are to dial it.
func (s *Server) Address() string { return s.door.address }

// TokenURL is the Access Token URL.
func (s *Server) TokenURL() string { return s.URL() + s.options.TokenPath }

// ClientID is the client_id of the access key that the server began with.
func (s *Server) ClientID() string { return s.options.ClientID }

// ClientSecret is the client_secret that is honoured now for ClientID.
func (s *Server) ClientSecret() (secret string) {
	s.locked(func() { secret = s.accessKeys[s.options.ClientID] })
	return secret
}

// CACertificate is the private CA's certificate, in PEM.
func (s *Server) CACertificate() string { return s.certs.ca.certPEM }

// ServerCertificate is the server's certificate with its key, for other servers on
// the same host.
func (s *Server) ServerCertificate() tls.Certificate { return s.certs.server.tls }

// ClientCertificate is a certificate of our CA for clients, and its key, in PEM.
func (s *Server) ClientCertificate() (cert, key string) {
	return s.certs.client.certPEM, s.certs.client.keyPEM
}

// StrangerCertificate is a client certificate of an authority that the server
// does not know, and its key, in PEM.
func (s *Server) StrangerCertificate() (cert, key string) {
	return s.certs.stranger.certPEM, s.certs.stranger.keyPEM
}

// SecretJSON is the AWS secret's document for this server as it is now:
// base_url, client_id, client_secret and ca_certificate, and tenant, referer,
// client_certificate, client_key, token_url, enable_path and disable_path where
// the options ask for them. An override replaces or adds a field; nil removes it.
func (s *Server) SecretJSON(overrides map[string]any) string {
	o := s.options
	document := map[string]any{
		"base_url": s.URL(), "client_id": s.ClientID(), "client_secret": s.ClientSecret(), "ca_certificate": s.CACertificate(),
	}
	add := func(when bool, field, value string) {
		if when {
			document[field] = value
		}
	}
	cert, key := s.ClientCertificate()
	add(o.Tenant != "", "tenant", o.Tenant)
	add(o.Referer != "", "referer", o.Referer)
	add(o.RequireClientCertificate, "client_certificate", cert)
	add(o.RequireClientCertificate, "client_key", key)
	add(o.TokenPath != DefaultTokenPath, "token_url", s.TokenURL())
	add(o.EnablePath != defaultEnablePath, "enable_path", o.EnablePath)
	add(o.DisablePath != defaultDisablePath, "disable_path", o.DisablePath)
	maps.Copy(document, overrides)
	maps.DeleteFunc(document, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Sprintf("override that is no JSON: %v", err)
	}
	return string(text)
}

// SetGeneration changes the version whose replies are spoken, as an upgrade
// does.
func (s *Server) SetGeneration(g Generation) { s.locked(func() { s.generation = g }) }

func (s *Server) speaks() (g Generation) {
	s.locked(func() { g = s.generation })
	return g
}

// SetLatency changes what is added to every answer from now on. Reset leaves it.
func (s *Server) SetLatency(l Latency) { s.locked(func() { s.delays = l }) }

// Reset brings back the start: API secrets, credentials, refusal style and
// generation as in the options, no faults, no records, connections counted from
// zero. Tokens that were valid stay valid, connections stay open, and where they
// are refused they stay so: see AcceptConnections.
func (s *Server) Reset() {
	s.locked(func() { s.state = s.fresh() })
	s.door.resetCount()
}

func (o Options) withDefaults() Options {
	o.Address = cmp.Or(o.Address, "127.0.0.1:0")
	o.BasePath = strings.TrimRight(cmp.Or(o.BasePath, "/pam"), "/")
	o.TokenPath = cmp.Or(o.TokenPath, DefaultTokenPath)
	o.EnablePath = cmp.Or(o.EnablePath, defaultEnablePath)
	o.DisablePath = cmp.Or(o.DisablePath, defaultDisablePath)
	o.ClientID = cmp.Or(o.ClientID, "client-of-the-simulated-segura")
	o.ClientSecret = cmp.Or(o.ClientSecret, DefaultClientSecret)
	o.TokenLifetime = cmp.Or(o.TokenLifetime, time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.APISecrets == nil {
		o.APISecrets = Sample()
	}
	return o
}
