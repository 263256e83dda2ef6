package seguratest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// What the zero Options stand for.
const (
	DefaultBasePath      = "/pam"
	DefaultClientID      = "client-of-the-simulated-segura"
	DefaultClientSecret  = "client-secret-of-the-simulated-segura"
	DefaultTokenLifetime = time.Hour
	DefaultTokenPath     = "/api/oauth2/token"
	DefaultEnablePath    = "/api/mysafe/secretapi/active/{identifier}"
	DefaultDisablePath   = "/api/mysafe/secretapi/inactive/{identifier}"
)

// Options say what the simulated Segura is like. The zero value is usable.
type Options struct {
	// Address to listen on; empty means "127.0.0.1:0".
	Address string
	// BasePath is the path prefix of everything; empty means [DefaultBasePath],
	// "/" means none.
	BasePath string
	// TokenPath, EnablePath and DisablePath, under the base path; empty means
	// the vendor's. The last two contain "{identifier}".
	TokenPath, EnablePath, DisablePath string

	// ClientID and ClientSecret are the credentials of the one access key;
	// empty means [DefaultClientID] and [DefaultClientSecret].
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
	options   Options
	certs     *certificates
	door      *door
	http      *http.Server
	served    chan struct{}
	vault     *vault
	authority *authority
	script    *script
	journal   *journal

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	mu         sync.Mutex
	generation Generation
	delays     Latency
	closing    bool
	handlers   sync.WaitGroup
}

// New starts a server. It runs until Close.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	for _, path := range []string{o.EnablePath, o.DisablePath} {
		if !strings.Contains(path, "{identifier}") {
			return nil, fmt.Errorf("path %q has no {identifier}", path)
		}
	}
	certs, err := newCertificates(o)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	door, err := openDoor(o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Address, err)
	}
	s := &Server{
		options: o, certs: certs, door: door,
		served:     make(chan struct{}),
		vault:      newVault(o),
		authority:  newAuthority(o),
		script:     &script{},
		journal:    newJournal(),
		generation: o.Generation,
		delays:     o.Latency,
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = s.newHTTPServer()
	go func() {
		defer close(s.served)
		// The error is always that of our own Close.
		_ = s.http.ServeTLS(door, "", "")
	}()
	return s, nil
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
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
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
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.stop()
	_ = s.door.Close()
	_ = s.http.Close()
	s.handlers.Wait()
	<-s.served
}

// enter reports whether a handler may still start, and counts it.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.handlers.Add(1)
	return true
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
func (s *Server) ClientSecret() string { return s.authority.secret(s.options.ClientID) }

// CACertificate is the private CA's certificate, in PEM.
func (s *Server) CACertificate() string { return s.certs.caPEM }

// ServerCertificate is the server's certificate with its key, for other servers on
// the same host.
func (s *Server) ServerCertificate() tls.Certificate { return s.certs.serverPair() }

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
		"base_url":       s.URL(),
		"client_id":      s.ClientID(),
		"client_secret":  s.ClientSecret(),
		"ca_certificate": s.CACertificate(),
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
	add(o.EnablePath != DefaultEnablePath, "enable_path", o.EnablePath)
	add(o.DisablePath != DefaultDisablePath, "disable_path", o.DisablePath)
	for field, value := range overrides {
		if value == nil {
			delete(document, field)
		} else {
			document[field] = value
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Sprintf("override that is no JSON: %v", err)
	}
	return string(text)
}

// SetGeneration changes the version whose replies are spoken, as an upgrade
// does.
func (s *Server) SetGeneration(g Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation = g
}

func (s *Server) speaks() Generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

// SetLatency changes what is added to every answer from now on. Reset leaves it.
func (s *Server) SetLatency(l Latency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delays = l
}

// Reset brings back the start: API secrets, passwords, credentials, refusal
// style and generation as in the options, no faults, no records, connections
// counted from zero. Tokens that were valid stay valid, connections stay open,
// and where they are refused they stay so: see AcceptConnections.
func (s *Server) Reset() {
	s.vault.reset()
	s.authority.reset()
	s.script.clear()
	s.SetGeneration(s.options.Generation)
	s.door.resetCount()
	s.journal.reset()
}

func (o Options) withDefaults() Options {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&o.Address, "127.0.0.1:0")
	fill(&o.BasePath, DefaultBasePath)
	fill(&o.TokenPath, DefaultTokenPath)
	fill(&o.EnablePath, DefaultEnablePath)
	fill(&o.DisablePath, DefaultDisablePath)
	fill(&o.ClientID, DefaultClientID)
	fill(&o.ClientSecret, DefaultClientSecret)
	if o.BasePath = strings.TrimRight(o.BasePath, "/"); o.BasePath != "" && o.BasePath[0] != '/' {
		o.BasePath = "/" + o.BasePath
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = DefaultTokenLifetime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.APISecrets == nil {
		o.APISecrets = Sample()
	}
	return o
}

type connKey struct{}

// connection is the TLS connection of a request, of either protocol.
func connection(r *http.Request) *tls.Conn {
	c, _ := r.Context().Value(connKey{}).(*tls.Conn)
	return c
}
