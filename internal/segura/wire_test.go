package segura

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
)

// pipe is a wire with the other end of its connection.
func pipe(t *testing.T) (*wire, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return &wire{Conn: ours}, theirs
}

// begin begins a request over the wire; replied says that the transport takes what it
// read for the beginning of its reply.
func begin(t *testing.T, w net.Conn) (e *exchange, replied func()) {
	t.Helper()
	e = &exchange{}
	trace := httptrace.ContextClientTrace(e.watch(t.Context()))
	trace.GotConn(httptrace.GotConnInfo{Conn: w})
	return e, trace.GotFirstResponseByte
}

func TestWire_takesNothingThatWasThereBeforeTheRequestForItsReply(t *testing.T) {
	w, theirs := pipe(t)
	go func() { _, _ = theirs.Write([]byte("unasked")) }()
	e, replied := begin(t, w)
	if n, err := w.Read(make([]byte, 16)); n == 0 {
		t.Fatal(err)
	}
	go func() { _, _ = theirs.Read(make([]byte, 16)) }()
	if _, err := w.Write([]byte("request")); err != nil {
		t.Fatal(err)
	}
	replied()

	got := e.isStale()

	if !got {
		t.Error("got a reply, want it to be stale: nothing came after the request")
	}
	_ = w.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := w.Write([]byte("another")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing once more: got %v, want the connection to be closed", err)
	}
}

func TestWire_takesWhatCameAfterTheRequestForItsReply(t *testing.T) {
	w, theirs := pipe(t)
	for range 2 { // requests over the same connection
		e, replied := begin(t, w)
		go func() {
			_, _ = theirs.Read(make([]byte, 16))
			_, _ = theirs.Write([]byte("reply"))
		}()
		if _, err := w.Write([]byte("request")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
		replied()
		if e.isStale() {
			t.Error("got a stale reply, want one that came after its request")
		}
	}
	e, replied := begin(t, nil)
	replied()
	if e.isStale() {
		t.Error("a connection that is no wire of ours was found stale")
	}
}

// scripted is a connection to a server that says what the test has it say.
type scripted struct {
	net.Conn
	says   chan string
	closed chan struct{}
	once   sync.Once
	reply  string // to the first request
}

func (s *scripted) Read(b []byte) (int, error) {
	select {
	case text := <-s.says:
		return copy(b, text), nil
	case <-s.closed:
		return 0, io.EOF
	}
}

func (s *scripted) Write(b []byte) (int, error) {
	if s.reply != "" {
		reply := s.reply
		s.reply = ""
		go func() { s.says <- reply }()
	}
	return len(b), nil
}

func (s *scripted) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// success is a whole reply.
const success = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 98\r\n\r\n" +
	`{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false}}`

// scriptedClient returns a client of a server that answers the first request with success.
func scriptedClient(t *testing.T) (*Client, *scripted) {
	t.Helper()
	client, err := New(Credentials{BaseURL: "https://segura.example.com", ClientID: "id", ClientSecret: Hide("secret")},
		Options{UserAgent: "test", AttemptTimeout: time.Minute, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	server := &scripted{says: make(chan string), closed: make(chan struct{}), reply: success}
	client.transport.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return &wire{Conn: server}, nil }
	return client, server
}

// Through a proxy that speaks TLS, the wire is below two layers of it.
func TestExchange_knowsTheWireBelowTheProxysTLSToo(t *testing.T) {
	w, _ := pipe(t)

	e, _ := begin(t, tls.Client(tls.Client(w, &tls.Config{MinVersion: tls.VersionTLS12}), &tls.Config{MinVersion: tls.VersionTLS12}))

	if e.wire.Load() != w {
		t.Error("got no wire, want the one below both layers: no reply would be found stale")
	}
}

// The reply that nobody asked for comes when the transport waits for one already
// and has sent nothing yet, which is when it takes it for the next request's; all of
// it, or its beginning, with the rest behind the request.
func TestDo_takesNoReplyThatWasThereBeforeItsRequest(t *testing.T) {
	for _, part := range []int{1, 40, len(success) - 1, len(success)} {
		early, late := success[:part], success[part:]
		client, server := scriptedClient(t)
		token := newToken("token", 0)
		if answer, fault := client.Do(t.Context(), apisecret.Enable, 5, token); fault != nil || answer.Outcome != apisecret.Enabled {
			t.Fatalf("the first call: got %v, %v", answer, fault)
		}
		taken := make(chan struct{})
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			WroteHeaders:         func() { server.says <- early; <-taken },
			GotFirstResponseByte: func() { close(taken) },
			WroteRequest: func(httptrace.WroteRequestInfo) {
				if late != "" {
					server.says <- late
				}
			},
		})

		answer, fault := client.Do(ctx, apisecret.Enable, 6, token)

		if fault == nil || fault.Code != apisecret.UpstreamInvalidResponse || !fault.Retryable {
			t.Errorf("%d bytes early: got %v and %v, want no success: that reply was to no request", part, answer, fault)
		}
		select {
		case <-server.closed:
		default:
			t.Errorf("%d bytes early: the connection is open still, with replies and requests out of step", part)
		}
	}
}
func TestDo_takesAReplyThatEndsWithinItsHeaderForAnInvalidOne(t *testing.T) {
	const header = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for end := 1; end <= len(header); end++ {
		begins := header[:end]
		client, err := New(Credentials{BaseURL: "https://segura.example.com", ClientID: "id", ClientSecret: Hide("secret")}, Options{AttemptTimeout: time.Minute, Connections: 1})
		if err != nil {
			t.Fatal(err)
		}
		client.transport.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = http.ReadRequest(bufio.NewReader(theirs))
				_, _ = io.WriteString(theirs, begins)
				_ = theirs.Close()
			}()
			return &wire{Conn: ours}, nil
		}

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, newToken("token", 0))

		if fault == nil || fault.Code != apisecret.UpstreamInvalidResponse || !fault.Retryable || fault.Cause == apisecret.NoReply {
			t.Errorf("%q: got %v, want upstream_invalid_response: something came", begins, fault)
		}
	}
}
