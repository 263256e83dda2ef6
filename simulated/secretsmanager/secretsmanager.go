// Package secretsmanager is a Secrets Manager endpoint on this machine, for
// functions whose AWS_ENDPOINT_URL_SECRETS_MANAGER points to it.
//
// It knows GetSecretValue, the faults that AWS answers it with, and faults of
// the network. It looks at the signature of a request only as far as to see
// that there is one: who may read what is left to IAM.
package secretsmanager

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	region  = "eu-west-1"
	account = "123456789012"

	maxRequestSize = 1 << 20
)

// Options says where to listen.
type Options struct {
	// Address to listen on; empty means "127.0.0.1:0".
	Address string

	// AdvertiseHost is the host name in [Server.URL]; empty means that of the
	// address, or 127.0.0.1 where that stands for all addresses.
	AdvertiseHost string

	// Certificate makes the endpoint speak TLS with it; without one it speaks
	// plain HTTP.
	Certificate *tls.Certificate
}

// Server is a running endpoint. Its methods may be called at once.
type Server struct {
	listener net.Listener
	server   *http.Server
	url      string
	closing  chan struct{}
	once     sync.Once

	mu       sync.Mutex
	secrets  map[string]*secret // by name
	requests []Request
	faults   []*fault
	versions int
}

// secret is one secret, with the value that AWS labels AWSCURRENT.
type secret struct {
	name, arn string
	version   int
	field     string // SecretString or SecretBinary
	value     any
	created   time.Time
	deleted   bool
}

// Request is the record of one call.
type Request struct {
	Time     time.Time
	Target   string // of X-Amz-Target, e.g. secretsmanager.GetSecretValue
	SecretID string // as asked for
	Status   int    // answered; 0 where there was no answer
	Fault    Fault  // that was played; empty where none was
	Header   http.Header
}

// Start starts an endpoint without secrets. It runs until Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for Secrets Manager: %w", err)
	}
	scheme := "http"
	if o.Certificate != nil {
		scheme = "https"
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*o.Certificate}, MinVersion: tls.VersionTLS12})
	}
	s := &Server{listener: listener, secrets: map[string]*secret{}, closing: make(chan struct{})}
	s.url = scheme + "://" + advertised(o, listener.Addr())
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

func advertised(o Options, bound net.Addr) string {
	host, _, _ := net.SplitHostPort(o.Address)
	_, port, _ := net.SplitHostPort(bound.String())
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if o.AdvertiseHost != "" {
		host = o.AdvertiseHost
	}
	return net.JoinHostPort(host, port)
}

// URL is what AWS_ENDPOINT_URL_SECRETS_MANAGER has to be.
func (s *Server) URL() string { return s.url }

// Close ends the endpoint and every call in flight. It may be called again.
func (s *Server) Close() error {
	s.once.Do(func() { close(s.closing) })
	return s.server.Close()
}

// Put sets the value of a secret as a SecretString, and creates the secret
// where there is none. It returns the ARN.
func (s *Server) Put(name, value string) string { return s.put(name, "SecretString", value) }

// PutBinary is [Server.Put] for a SecretBinary.
func (s *Server) PutBinary(name string, value []byte) string {
	return s.put(name, "SecretBinary", value) // base64 in JSON
}

func (s *Server) put(name, field string, value any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions++
	s.secrets[name] = &secret{name: name, arn: arn(name), version: s.versions, field: field, value: value, created: time.Now()}
	return s.secrets[name].arn
}

// arn ends in six characters that AWS makes up; here they follow from the name.
func arn(name string) string {
	hash := fnv.New32a()
	_, _ = io.WriteString(hash, name)
	return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%06x", region, account, name, hash.Sum32()&0xffffff)
}

// Delete marks a secret for deletion: reading it fails, and Put brings it back.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.secrets[name]; known != nil {
		known.deleted = true
	}
}

// Requests are the records of all calls, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Reads counts the calls, those that failed included.
func (s *Server) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// Reset forgets faults and records; the secrets stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.requests = nil, nil
}

// serve answers one call of AWS JSON 1.1.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestSize))
	if err != nil {
		return
	}
	var input struct{ SecretId string }
	malformed := json.Unmarshal(body, &input) != nil
	x := &exchange{server: s, w: w, r: r}
	x.begin(input.SecretId)
	defer x.end()
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		x.fail(http.StatusNotFound, "UnknownOperationException", "")
	case !isSigned(r):
		x.fail(http.StatusBadRequest, "MissingAuthenticationTokenException", "Missing Authentication Token")
	case x.fault != "":
		x.play(x.fault)
	case r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue":
		x.fail(http.StatusBadRequest, "UnknownOperationException", "")
	case malformed || input.SecretId == "":
		x.fail(http.StatusBadRequest, "SerializationException", "")
	default:
		s.getSecretValue(x, input.SecretId)
	}
}

// scope is what a signature of Secrets Manager looks like. The access keys that
// tools make up have small letters too.
var scope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[A-Za-z0-9]+/\d{8}/[a-z0-9-]+/secretsmanager/aws4_request, ` +
	`SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$`)

func isSigned(r *http.Request) bool { return scope.MatchString(r.Header.Get("Authorization")) }

// find looks a secret up by name, ARN, or ARN without the last six characters.
func (s *Server) find(id string) *secret {
	if known := s.secrets[id]; known != nil {
		return known
	}
	for _, known := range s.secrets {
		if id == known.arn || id == known.arn[:strings.LastIndexByte(known.arn, '-')] {
			return known
		}
	}
	return nil
}

func (s *Server) getSecretValue(x *exchange, id string) {
	s.mu.Lock()
	known := s.find(id)
	deleted := known != nil && known.deleted
	s.mu.Unlock()
	switch {
	case known == nil:
		x.play(ResourceNotFound)
	case deleted:
		x.play(MarkedForDeletion)
	default:
		body, _ := json.Marshal(map[string]any{ // strings and numbers only
			"ARN": known.arn, "Name": known.name, known.field: known.value, "CreatedDate": float64(known.created.UnixMilli()) / 1000,
			"VersionId": fmt.Sprintf("a1b2c3d4-5678-4d9e-8c0f-%012d", known.version), "VersionStages": []string{"AWSCURRENT"},
		})
		x.reply(http.StatusOK, body)
	}
}
