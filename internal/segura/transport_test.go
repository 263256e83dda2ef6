package segura_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

func unreachable(retryable bool) verdict {
	return verdict{apisecret.Failed, apisecret.UpstreamUnreachable, retryable, 0, 0}
}

// TLS faults, theirs and ours: a certificate or a version that is rejected stays
// rejected, everything else may pass.
func TestToken_tellsARejectedCertificateFromABadConnection(t *testing.T) {
	clientCertificate := func(t *testing.T, s *seguratest.Server) segura.Credentials {
		c := credentialsOf(t, s)
		cert, key := s.ClientCertificate()
		c.ClientCertificate, c.ClientKey = cert, segura.Hide(key)
		return c
	}
	none := func(t *testing.T, s *seguratest.Server) segura.Credentials {
		c := credentialsOf(t, s)
		c.ClientCertificate, c.ClientKey = "", segura.Sensitive{}
		return c
	}
	strangers := func(t *testing.T, s *seguratest.Server) segura.Credentials {
		c := credentialsOf(t, s)
		cert, key := s.StrangerCertificate()
		c.ClientCertificate, c.ClientKey = cert, segura.Hide(key)
		return c
	}
	systemRoots := func(t *testing.T, s *seguratest.Server) segura.Credentials {
		c := credentialsOf(t, s)
		c.CACertificate = ""
		return c
	}
	asked := seguratest.Options{RequireClientCertificate: true}
	askedOver12 := seguratest.Options{RequireClientCertificate: true, TLS: seguratest.TLSOptions{MaxVersion: tls.VersionTLS12}}
	with := func(o seguratest.TLSOptions) seguratest.Options { return seguratest.Options{TLS: o} }
	for _, row := range []struct {
		name        string
		options     seguratest.Options
		credentials func(*testing.T, *seguratest.Server) segura.Credentials
		want        verdict
		says        string

		// With TLS 1.3 the server rejects our certificate when the client has already
		// begun to write. A reset may overtake the alert then, and it takes one more
		// handshake to see it.
		mayTakeTwo bool
	}{
		{"a good certificate", seguratest.Options{}, credentialsOf, verdict{outcome: "token"}, "", false},
		{"TLS 1.2", with(seguratest.TLSOptions{MaxVersion: tls.VersionTLS12}), credentialsOf, verdict{outcome: "token"}, "", false},
		{"TLS 1.3", with(seguratest.TLSOptions{MinVersion: tls.VersionTLS13}), credentialsOf, verdict{outcome: "token"}, "", false},
		{"another host's", with(seguratest.TLSOptions{Certificate: seguratest.CertificateWrongHost}), credentialsOf, unreachable(false), "another host", false},
		{"expired", with(seguratest.TLSOptions{Certificate: seguratest.CertificateExpired}), credentialsOf, unreachable(false), "expired", false},
		{"not yet valid", with(seguratest.TLSOptions{Certificate: seguratest.CertificateNotYetValid}), credentialsOf, unreachable(false), "not valid yet", false},
		{"self-signed", with(seguratest.TLSOptions{Certificate: seguratest.CertificateSelfSigned}), credentialsOf, unreachable(false), "authority is not trusted", false},
		{"of an unknown authority", with(seguratest.TLSOptions{Certificate: seguratest.CertificateUnknownAuthority}), credentialsOf, unreachable(false), "authority is not trusted", false},
		{"of a private authority, without ca_certificate", seguratest.Options{}, systemRoots, unreachable(false), "authority is not trusted", false},
		{"TLS 1.1 at most", with(seguratest.TLSOptions{MaxVersion: tls.VersionTLS11}), credentialsOf, unreachable(false), "TLS 1.2 or newer", false},
		{"TLS 1.0 at most", with(seguratest.TLSOptions{MaxVersion: tls.VersionTLS10}), credentialsOf, unreachable(false), "TLS 1.2 or newer", false},

		{"our certificate, asked for", asked, clientCertificate, verdict{outcome: "token"}, "", false},
		{"our certificate, asked for over TLS 1.2", askedOver12, clientCertificate, verdict{outcome: "token"}, "", false},
		{"our certificate, taken if given", seguratest.Options{}, clientCertificate, verdict{outcome: "token"}, "", false},
		{"none of ours", asked, none, unreachable(false), "client_certificate", true},
		{"none of ours over TLS 1.2", askedOver12, none, unreachable(false), "client_certificate", false},
		{"a stranger's", asked, strangers, unreachable(false), "client_certificate", true},
		{"a stranger's over TLS 1.2", askedOver12, strangers, unreachable(false), "client_certificate", false},
		{"a stranger's, taken if given", seguratest.Options{}, strangers, unreachable(false), "client_certificate", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := seguratest.Start(t, row.options)
			client := newClient(t, row.credentials(t, server), attempts(3))

			token, fault := client.Token(t.Context(), nil)

			got := verdict{outcome: "token"}
			if fault != nil {
				got = verdictOf(segura.Answer{}, fault)
			}
			if got != row.want || (token == nil) == (fault == nil) {
				t.Fatalf("got %+v (%v), want %+v", got, fault, row.want)
			}
			if fault == nil {
				return
			}
			if !strings.Contains(fault.Message, row.says) || strings.Contains(fault.Message, "127.0.0.1") {
				t.Errorf("got the message %q, want %q in it and no address", fault.Message, row.says)
			}
			if got := server.Connections(); got != 1 && (got > 6 || !row.mayTakeTwo) { // three attempts, each with one more look
				t.Errorf("got %d connections, want one: trying again does not help", got)
			}
		})
	}
}

// A host name that is none fails to resolve without any name server. It has a word in
// it that net/http has for replies.
const unresolvable = "https://malformed..invalid"

func TestDo_tellsWhyThereIsNoReply(t *testing.T) {
	timedOut := transient(apisecret.UpstreamTimeout, 0)
	for _, row := range []struct {
		name     string
		break_   func(*seguratest.Server)
		want     []verdict // several where the system decides which
		says     string
		hasReply bool
	}{
		{"not listening", func(s *seguratest.Server) { _ = s.RefuseConnections(seguratest.NotListening) }, []verdict{unreachable(true)}, "refused", false},
		{"reset when accepted", func(s *seguratest.Server) { _ = s.RefuseConnections(seguratest.ResetOnAccept) }, []verdict{unreachable(true)}, "closed", false},
		{"silent when accepted", func(s *seguratest.Server) { _ = s.RefuseConnections(seguratest.SilentOnAccept) }, []verdict{timedOut}, "in time", false},
		{"no TLS", func(s *seguratest.Server) { _ = s.RefuseConnections(seguratest.PlainOnAccept) }, []verdict{unreachable(true)}, "does not speak TLS", false},
		{"hangs", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.Hang(), -1) }, []verdict{timedOut}, "in time", false},
		{"hangs in the body", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.HangMidBody(), -1) }, []verdict{transient(apisecret.UpstreamTimeout, 200), timedOut}, "in time", false},
		{"drips", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.SlowDrip(50*time.Millisecond), -1) }, []verdict{transient(apisecret.UpstreamTimeout, 200), timedOut}, "in time", false},
		{"reset", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.ResetConnection(), -1) }, []verdict{unreachable(true)}, "No connection", false},
		{"closed", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.CloseConnection(), -1) }, []verdict{unreachable(true)}, "closed", false},
		{"cut short", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.CutShort(), -1) }, []verdict{transient(apisecret.UpstreamInvalidResponse, 200)}, "", true},
		{"cut after the JSON", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.CutAfterJSON(), -1) }, []verdict{transient(apisecret.UpstreamInvalidResponse, 200)}, "", true},
		{"cut chunked", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.CutChunked(), -1) }, []verdict{transient(apisecret.UpstreamInvalidResponse, 200)}, "", true},
		{"reset in the body", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.ResetMidBody(), -1) }, []verdict{transient(apisecret.UpstreamInvalidResponse, 200), unreachable(true)}, "", true},
		{"endless headers", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.EndlessHeaders(), -1) }, []verdict{unexpected(0), unreachable(true), timedOut}, "", true},
		{"endless early hints", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.EndlessEarlyHints(), -1) }, []verdict{unexpected(0)}, "", true},
		{"not HTTP", func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.NotHTTP(), -1) }, []verdict{unexpected(0), unreachable(true)}, "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, client := start(t, seguratest.Options{})
			token := mustToken(t, client)
			if slices.Contains(row.want, timedOut) {
				client = newClient(t, credentialsOf(t, server), patience(700*time.Millisecond))
			}
			client.Close() // the next call opens a connection
			row.break_(server)

			answer, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

			got := verdictOf(answer, fault)
			if !slices.Contains(row.want, got) {
				t.Fatalf("got %+v (%v), want %+v", got, fault, row.want)
			}
			if !strings.Contains(fault.Message, row.says) || strings.Contains(fault.Message, "127.0.0.1") {
				t.Errorf("got the message %q, want %q in it and no address", fault.Message, row.says)
			}
			if !row.hasReply && fault.Cause != apisecret.NoReply {
				t.Errorf("got a fault with a reply: %+v", fault)
			}
		})
	}
}

// The alert of a server that rejects our certificate is looked for with a handshake
// more. It cannot be what broke a connection once any reply has come.
func TestDo_looksForNoAlertOnceAReplyHasCome(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	server.Fail(enableCalls, seguratest.CloseConnection(), 2)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

	if fault == nil || fault.Code != apisecret.UpstreamUnreachable || server.Connections() != 2 {
		t.Errorf("got %v over %d connections, want upstream_unreachable over the one there was and a new one", fault, server.Connections())
	}
}

func TestToken_tellsANameThatDoesNotResolve(t *testing.T) {
	client := newClient(t, segura.Credentials{BaseURL: unresolvable, ClientID: "id", ClientSecret: segura.Hide("secret")})

	_, fault := client.Token(t.Context(), nil)

	if got := verdictOf(segura.Answer{}, fault); got != unreachable(true) || !strings.Contains(fault.Message, "resolved") || strings.Contains(fault.Message, "invalid") {
		t.Errorf("got %+v (%v), want %+v", got, fault, unreachable(true))
	}
}

func TestDo_tellsTheCallersDeadlineFromItsOwnTimeout(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	for name, hang := range map[string]seguratest.Fault{"before the reply": seguratest.Hang(), "in the reply": seguratest.HangMidBody()} {
		server.ClearFaults()
		server.Fail(enableCalls, hang, -1)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)

		_, fault := client.Do(ctx, apisecret.Enable, 5, token)
		cancel()

		if fault == nil || fault.Code != apisecret.DeadlineExceeded || !fault.Retryable {
			t.Errorf("%s: got %+v, want deadline_exceeded", name, fault)
		}
	}
}

func TestDo_readsNoMoreThanAReplyCanHave(t *testing.T) {
	for name, giant := range map[string]seguratest.Fault{
		"a body without end": seguratest.GiantBody(-1), "a gzip bomb": seguratest.GzipBomb(100),
	} {
		server, client := start(t, seguratest.Options{})
		token := mustToken(t, client)
		server.Fail(enableCalls, giant, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		runtime.ReadMemStats(&after)
		if fault == nil || fault.HTTPStatus != 200 || fault.Code != apisecret.UnexpectedResponse && fault.Code != apisecret.UpstreamInvalidResponse {
			t.Errorf("%s: got %+v, want no success", name, fault)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
			t.Errorf("%s: got %d MiB allocated by both sides", name, got>>20)
		}
		if _, fault := client.Do(t.Context(), apisecret.Enable, 5, token); fault != nil {
			t.Errorf("%s: the next call: %v", name, fault)
		}
	}
}

func TestDo_readsNoMoreHeadersThanAReplyCanHave(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	server.Fail(enableCalls, seguratest.Normally().WithHeader("X-Long", strings.Repeat("x", 100<<10)), 1)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

	if fault == nil || fault.Code == apisecret.InternalError {
		t.Errorf("100 KiB of headers: got %v, want a fault of the upstream's", fault)
	}
	if _, fault := client.Do(t.Context(), apisecret.Enable, 5, token); fault != nil {
		t.Errorf("the next call: %v", fault)
	}
}

func TestDo_followsNoRedirect(t *testing.T) {
	elsewhere := seguratest.Start(t, seguratest.Options{})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, match := range []seguratest.Match{tokenCalls, enableCalls} {
			server, client := start(t, seguratest.Options{})
			server.Fail(match, seguratest.Redirect(status, elsewhere.URL()+"/api/mysafe/secretapi/active/5"), 1)

			token, fault := client.Token(t.Context(), nil)
			if fault == nil {
				_, fault = client.Do(t.Context(), apisecret.Enable, 5, token)
			}

			if fault == nil || fault.Code != apisecret.UnexpectedResponse || fault.HTTPStatus != status {
				t.Errorf("%d to a %s request: got %+v, want unexpected_response", status, match.Kind, fault)
			}
			if got := server.CountFor(seguratest.KindEnable, 5); got > 1 {
				t.Errorf("%d to a %s request: got %d calls", status, match.Kind, got)
			}
		}
	}
	if got := elsewhere.Connections(); got != 0 {
		t.Errorf("got %d connections to where the redirects lead", got)
	}
}

func TestDo_reusesOneConnection(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	server.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: 5}, seguratest.HTML(503), 2)

	for range 10 {
		_, _ = client.Do(t.Context(), apisecret.Enable, 5, token)
		_, _ = client.Do(t.Context(), apisecret.Enable, 7, token)
	}

	if got := server.Connections(); got != 1 || server.Count(seguratest.KindEnable) != 20 {
		t.Errorf("got %d connections for %d calls, want one for 20", got, server.Count(seguratest.KindEnable))
	}
	for _, request := range server.Requests() {
		if request.Proto != "HTTP/1.1" {
			t.Errorf("got %s, want HTTP/1.1", request.Proto)
		}
	}
}

func TestDo_holdsNoMoreConnectionsThanCalls(t *testing.T) {
	server, client := start(t, seguratest.Options{
		AnyIdentifier: true, Latency: seguratest.Latency{Call: 2 * time.Millisecond},
	})
	token := mustToken(t, client)
	var group sync.WaitGroup
	for worker := range apisecret.Identifier(4) {
		group.Go(func() {
			for i := range apisecret.Identifier(25) {
				if answer, fault := client.Do(t.Context(), apisecret.Enable, 1000*(worker+1)+i, token); fault != nil || answer.Outcome != apisecret.Enabled {
					t.Errorf("got %+v, %v", answer, fault)
				}
			}
		})
	}
	group.Wait()

	if got := server.Connections(); got > 4 {
		t.Errorf("got %d connections for 4 calls at once", got)
	}
}

// A reply without a body gives its connection to the next call at once, which it does
// not end.
func TestDo_endsNoConnectionThatAnotherCallHas(t *testing.T) {
	server, client := start(t, seguratest.Options{AnyIdentifier: true})
	token := mustToken(t, client)
	server.Fail(enableCalls, seguratest.Empty(404), -1)
	const workers, calls = 8, 100
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range calls {
				if _, fault := client.Do(t.Context(), apisecret.Enable, 5, token); fault == nil || fault.Code != apisecret.UnexpectedResponse {
					t.Errorf("got %v, want unexpected_response", fault)
				}
			}
		})
	}

	group.Wait()

	if got := server.Count(seguratest.KindEnable); got != workers*calls || server.Connections() > workers+1 {
		t.Errorf("got %d calls over %d connections, want %d", got, server.Connections(), workers*calls)
	}
}

func TestDo_keepsTheConnectionsOfAllCallsAtOnce(t *testing.T) {
	server, client := start(t, seguratest.Options{AnyIdentifier: true})
	token := mustToken(t, client)
	for round := range apisecret.Identifier(3) {
		ready := make(chan struct{})
		server.ClearFaults()
		server.Fail(enableCalls, seguratest.Normally().Until(ready), -1)
		var group sync.WaitGroup
		for i := range apisecret.Identifier(4) {
			group.Go(func() {
				if _, fault := client.Do(t.Context(), apisecret.Enable, 1000+4*round+i, token); fault != nil {
					t.Error(fault)
				}
			})
		}
		err := server.Await(t.Context(), seguratest.KindEnable, 4*int(round+1))
		close(ready)
		group.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}

	if got := server.Connections(); got != 4 {
		t.Errorf("got %d connections in three rounds of four calls at once, want the first four to be used again", got)
	}
}

func TestDo_recoversFromBrokenConnections(t *testing.T) {
	for name, break_ := range map[string]func(*seguratest.Server){
		"dropped while idle": func(s *seguratest.Server) { s.DropConnections() },
		"drained":            func(s *seguratest.Server) { s.Fail(enableCalls, seguratest.Drain(), 1) },
	} {
		server, client := start(t, seguratest.Options{})
		token := mustToken(t, client)
		break_(server)

		_, first := client.Do(t.Context(), apisecret.Enable, 5, token)
		_, second := client.Do(t.Context(), apisecret.Enable, 5, token)

		if first != nil && (first.Code != apisecret.UpstreamUnreachable || !first.Retryable || first.Cause != apisecret.NoReply) || second != nil {
			t.Errorf("%s: got %v, then %v; want success at the second call at the latest", name, first, second)
		}
	}
}

func TestClient_closesItsIdleConnections(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	mustToken(t, client)

	client.Close()

	for deadline := time.Now().Add(20 * time.Second); server.OpenConnections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d open connections", server.OpenConnections())
		}
	}
	if _, fault := client.FreshToken(t.Context()); fault != nil {
		t.Errorf("a token afterwards: %v", fault)
	}
}

func TestConnect_opensANewConnectionAndTakesAnyReply(t *testing.T) {
	for name, reply := range map[string]seguratest.Fault{
		"the start page": seguratest.Normally(), "404": seguratest.GatewayNoRoute404(), "503": seguratest.HTML(503), "401": seguratest.Empty(401),
		"a redirect": seguratest.Redirect(302, "https://elsewhere.example.com/"), "405": seguratest.Empty(405),
	} {
		server, client := start(t, seguratest.Options{})
		mustToken(t, client)
		server.Reset()
		server.Fail(seguratest.Match{Kind: seguratest.KindHead}, reply, 2)

		first, second := client.Connect(t.Context()), client.Connect(t.Context())

		if first != nil || second != nil {
			t.Errorf("%s: got %v, %v", name, first, second)
		}
		if got := server.Connections(); got != 2 || server.Count("") != 2 {
			t.Errorf("%s: got %d new connections for %d requests, want 2 for 2", name, got, server.Count(""))
		}
		for _, got := range server.Requests() {
			if got.Method != "HEAD" || strings.TrimRight(got.Path, "/") != "/pam" || got.Header.Get("Authorization") != "" || got.Header.Get("User-Agent") != userAgent || got.TLS.Resumed {
				t.Errorf("%s: got %s %s with %v, resumed %t", name, got.Method, got.Path, got.Header, got.TLS.Resumed)
			}
		}
	}
}

func TestConnect_leavesNoConnectionOpen(t *testing.T) {
	server, client := start(t, seguratest.Options{})

	fault := client.Connect(t.Context())

	for deadline := time.Now().Add(10 * time.Second); server.OpenConnections() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("got %d open connections after %v", server.OpenConnections(), fault)
		}
		runtime.Gosched()
	}
}

func TestConnect_tellsWhyThereIsNoConnection(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	hasty := newClient(t, credentialsOf(t, server), patience(500*time.Millisecond))
	for how, want := range map[seguratest.Refused]verdict{
		seguratest.NotListening: unreachable(true), seguratest.ResetOnAccept: unreachable(true), seguratest.SilentOnAccept: transient(apisecret.UpstreamTimeout, 0),
	} {
		if err := server.RefuseConnections(how); err != nil {
			t.Fatal(err)
		}

		asked := client
		if how == seguratest.SilentOnAccept {
			asked = hasty
		}

		fault := asked.Connect(t.Context())

		if fault == nil || verdictOf(segura.Answer{}, fault) != want {
			t.Errorf("refusal %d: got %v, want %+v", how, fault, want)
		}
		if err := server.AcceptConnections(); err != nil {
			t.Fatal(err)
		}
	}
	expired, distrusting := start(t, seguratest.Options{TLS: seguratest.TLSOptions{Certificate: seguratest.CertificateExpired}})
	if fault := distrusting.Connect(t.Context()); fault == nil || fault.Code != apisecret.UpstreamUnreachable || fault.Retryable || expired.Connections() != 1 {
		t.Errorf("an expired certificate: got %v", fault)
	}
}

// The gateway may name only the root of a longer chain: our certificate is
// presented whatever authorities it names.
func TestToken_presentsOurCertificateWhateverAuthorityIsNamed(t *testing.T) {
	var presented []*x509.Certificate
	gateway := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented = r.TLS.PeerCertificates
		_, _ = io.WriteString(w, `{"access_token":"token"}`)
	}))
	another := x509.NewCertPool()
	another.AppendCertsFromPEM([]byte(seguratest.Start(t, seguratest.Options{}).CACertificate()))
	gateway.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, ClientCAs: another}
	gateway.StartTLS()
	defer gateway.Close()
	cert, key := seguratest.Start(t, seguratest.Options{}).ClientCertificate()
	client := newClient(t, segura.Credentials{
		BaseURL: gateway.URL, ClientID: "id", ClientSecret: segura.Hide("secret"), ClientCertificate: cert, ClientKey: segura.Hide(key),
		CACertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gateway.Certificate().Raw})),
	})

	_, fault := client.Token(t.Context(), nil)

	if fault != nil || len(presented) != 1 || presented[0].Subject.CommonName != "segura-enable" {
		t.Errorf("got %v with %d certificates presented, want ours", fault, len(presented))
	}
}
