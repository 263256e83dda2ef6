// Package secretsmanager is a Secrets Manager endpoint on this machine, for
// functions whose AWS_ENDPOINT_URL_SECRETS_MANAGER points to it.
//
// It knows GetSecretValue, the faults that AWS answers it with, and faults of
// the network. It looks at the signature of a request only as far as to see
// that there is one: who may read what is left to IAM.
package secretsmanager

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"
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
	server *http.Server
	url    string

	mu       sync.Mutex
	secrets  map[string]map[string]any // by name: the value by its field; nil is marked for deletion
	requests []Request
	faults   []*fault
}

// Request is the record of one call.
type Request struct {
	Target   string // of X-Amz-Target, e.g. secretsmanager.GetSecretValue
	SecretID string // as asked for
	Header   http.Header
}

// Start starts an endpoint without secrets. It runs until Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	o.Address = cmp.Or(o.Address, "127.0.0.1:0")
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for Secrets Manager: %w", err)
	}
	scheme := "http"
	if o.Certificate != nil {
		scheme = "https"
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*o.Certificate}, MinVersion: tls.VersionTLS12})
	}
	s := &Server{url: scheme + "://" + advertised(o, listener.Addr()), secrets: map[string]map[string]any{}}
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
	return net.JoinHostPort(cmp.Or(o.AdvertiseHost, host), port)
}

// URL is what AWS_ENDPOINT_URL_SECRETS_MANAGER has to be.
func (s *Server) URL() string { return s.url }

// Close ends the endpoint and every call in flight. It may be called again.
func (s *Server) Close() error { return s.server.Close() }

// Put sets the value of a secret as a SecretString, and creates the secret
// where there is none.
func (s *Server) Put(name, value string) { s.put(name, map[string]any{"SecretString": value}) }

// PutBinary is [Server.Put] for a SecretBinary.
func (s *Server) PutBinary(name string, value []byte) {
	s.put(name, map[string]any{"SecretBinary": value}) // base64 in JSON
}

func (s *Server) put(name string, value map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[name] = value
}

func arn(name string) string {
	return "arn:aws:secretsmanager:eu-west-1:123456789012:secret:" + name + "-AbCdEf"
}

// Delete marks a secret for deletion: reading it fails, and Put brings it back.
func (s *Server) Delete(name string) { s.put(name, nil) }

// Requests are the records of all calls, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Reads counts the calls, those that failed included.
func (s *Server) Reads() int { return len(s.Requests()) }

// Reset forgets faults and records; the secrets stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.requests = nil, nil
}

// signed is what a signature of Secrets Manager looks like. The access keys that
// tools make up have small letters too.
var signed = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[A-Za-z0-9]+/\d{8}/[a-z0-9-]+/secretsmanager/aws4_request, ` +
	`SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$`)

// serve answers one call of AWS JSON 1.1.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	var input struct{ SecretId string }
	malformed := json.Unmarshal(body, &input) != nil || input.SecretId == ""
	due := s.record(Request{Target: r.Header.Get("X-Amz-Target"), SecretID: input.SecretId, Header: r.Header.Clone()})
	pause(r, due.delay)
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		failure(404, "UnknownOperationException", "").send(w)
	case !signed.MatchString(r.Header.Get("Authorization")):
		failure(400, "MissingAuthenticationTokenException", "Missing Authentication Token").send(w)
	case due.kind != "":
		play(due.kind, w, r)
	case r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue":
		failure(400, "UnknownOperationException", "").send(w)
	case malformed:
		failure(400, "SerializationException", "").send(w)
	default:
		s.getSecretValue(input.SecretId).send(w)
	}
}

func (s *Server) getSecretValue(name string) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, known := s.secrets[name]
	switch {
	case !known:
		return replies[ResourceNotFound]
	case value == nil:
		return replies[MarkedForDeletion]
	}
	document := map[string]any{"ARN": arn(name), "Name": name, "VersionStages": []string{"AWSCURRENT"}}
	maps.Copy(document, value)
	body, _ := json.Marshal(document) // texts only
	return reply{200, string(body)}
}
