package segura_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

// signed is a certificate with its key and those of whoever signed it.
type signed struct {
	der    []byte
	key    crypto.Signer
	parsed *x509.Certificate
	issuer *signed
}

// sign makes a certificate; a nil issuer is itself.
func sign(t *testing.T, template x509.Certificate, issuer *signed, key crypto.Signer) *signed {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	template.SerialNumber = big.NewInt(0x7A7B7C)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	s := &signed{key: key, issuer: issuer}
	parent, signer := &template, key
	if issuer != nil {
		parent, signer = issuer.parsed, issuer.key
	}
	var err error
	if s.der, err = x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer); err != nil {
		t.Fatal(err)
	}
	if s.parsed, err = x509.ParseCertificate(s.der); err != nil {
		t.Fatal(err)
	}
	return s
}

func authority(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

func leaf() x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Each fault of a certificate or a handshake is made with a real server.
func TestConnect_tellsWhatIsWrongWithTheHandshake(t *testing.T) {
	root := sign(t, authority("root"), nil, nil)
	intermediate := sign(t, authority("intermediate"), root, nil)
	older := sign(t, authority("older"), nil, rsaKey(t))
	notAnAuthority := sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "no authority"}, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}, nil, nil)
	good := sign(t, leaf(), root, nil)
	negative := sign(t, leaf(), root, nil)
	negative.der = bytes.Replace(negative.der, []byte{2, 3, 0x7A, 0x7B, 0x7C}, []byte{2, 3, 0xFA, 0x7B, 0x7C}, 1)
	sha1 := leaf()
	sha1.SignatureAlgorithm = x509.SHA1WithRSA
	commonName := leaf()
	commonName.IPAddresses = nil
	rsaExchange := func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	}
	for name, row := range map[string]struct {
		server *signed
		trust  *signed
		change func(*tls.Config)
		says   string // empty: it works
	}{
		"a good one":              {good, root, nil, ""},
		"a negative serial":       {negative, root, nil, "x509negativeserial"},
		"a Common Name alone":     {sign(t, commonName, root, nil), root, nil, "subject alternative name"},
		"signed with SHA-1":       {sign(t, sha1, older, rsaKey(t)), older, nil, "SHA-1"},
		"a root that is none":     {sign(t, leaf(), notAnAuthority, nil), notAnAuthority, nil, "not marked as an authority"},
		"a missing intermediate":  {sign(t, leaf(), intermediate, nil), root, nil, "intermediate"},
		"another's key":           {&signed{der: good.der, key: root.key}, root, nil, "signs with"},
		"RSA key exchange alone":  {sign(t, leaf(), root, rsaKey(t)), root, rsaExchange, "tlsrsakex"},
		"TLS 1.1 at most":         {good, root, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "TLS 1.2 or newer"},
		"of an unknown authority": {good, older, nil, "its authority is not trusted"},
	} {
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{row.server.der}, PrivateKey: row.server.key}}}
		if row.change != nil {
			row.change(config)
		}
		listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
		go func() { _ = server.Serve(listener) }()
		client := newClient(t, segura.Credentials{BaseURL: "https://" + listener.Addr().String(), ClientID: "id", ClientSecret: segura.Hide("secret"), CACertificate: inPEM("CERTIFICATE", row.trust.der)})

		fault := client.Connect(t.Context())

		_ = server.Close()
		switch {
		case row.says == "" && fault != nil, row.says != "" && fault == nil:
			t.Errorf("%s: got %v", name, fault)
		case fault != nil && (fault.Code != apisecret.UpstreamUnreachable || fault.Retryable || !strings.Contains(fault.Message, row.says)):
			t.Errorf("%s: got %v, retryable %t; want %q in it, and no other try", name, fault, fault.Retryable, row.says)
		}
	}
}

// A kept-open connection that the other side closed meanwhile is no attempt: the call
// is made at once on a new one, not on another that was kept open.
func TestDo_repeatsACallOnAConnectionThatTurnsOutClosed(t *testing.T) {
	type key struct{}
	var requests, closed atomic.Int32
	var kept sync.Map // connections
	var both sync.WaitGroup
	both.Add(2)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(key{}).(net.Conn)
		switch _, again := kept.Load(c); {
		case strings.HasSuffix(r.URL.Path, "/token"):
			_, _ = io.WriteString(w, `{"access_token":"token"}`)
			return
		case requests.Add(1) <= 2:
			kept.Store(c, true)
			both.Done()
			both.Wait() // so that there are two connections
		case again:
			closed.Add(1)
			_ = c.Close() // as if it had been closed before the request came
			return
		}
		_, _ = io.WriteString(w, in(activated))
	}))
	server.EnableHTTP2 = true // which is not to be used
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) }
	server.StartTLS()
	defer server.Close()
	client := newClient(t, segura.Credentials{
		BaseURL: server.URL, ClientID: "id", ClientSecret: segura.Hide("secret"), CACertificate: inPEM("CERTIFICATE", server.Certificate().Raw),
	})
	token := mustToken(t, client)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() { _, _ = client.Do(t.Context(), apisecret.Enable, 5, token) })
	}
	group.Wait()

	answer, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

	if fault != nil || answer.Outcome != apisecret.Enabled || closed.Load() != 1 || requests.Load() != 4 {
		t.Errorf("got %+v, %v after %d requests, %d of them closed", answer, fault, requests.Load(), closed.Load())
	}
}

// A new connection that is closed is an attempt.
func TestDo_repeatsNoCallOnANewConnection(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	client.Close()
	server.DropConnections()
	server.Fail(enableCalls, seguratest.CloseConnection(), -1)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

	if fault == nil || fault.Code != apisecret.UpstreamUnreachable || server.Count(seguratest.KindEnable) != 1 {
		t.Errorf("got %v after %d requests, want one", fault, server.Count(seguratest.KindEnable))
	}
}

func TestToken_tellsTheProxysCertificateFromSeguras(t *testing.T) {
	proxy := httptest.NewUnstartedServer(http.NotFoundHandler())
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	proxy.StartTLS()
	defer proxy.Close()
	_, client := start(t, seguratest.Options{})
	segura.UseProxy(client, proxy.URL)

	_, fault := client.Token(t.Context(), nil)

	if fault == nil || fault.Code != apisecret.UpstreamUnreachable || fault.Retryable || !strings.Contains(fault.Message, "the proxy's certificate") {
		t.Errorf("got %v, want one of the proxy's certificate, and no other try", fault)
	}
}

func TestToken_tellsWhatTheProxyDoes(t *testing.T) {
	for _, row := range []struct {
		reply string // to CONNECT; empty: nobody is there
		says  string
	}{
		{"", "the proxy cannot be reached"},
		{"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "status 407"},
		{"HTTP/1.1 403 Forbidden\r\n\r\n", "status 403"},
		{"HTTP/1.1 502 malformed HTTP response\r\n\r\n", "status 502"},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if row.reply == "" {
			_ = listener.Close()
		}
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, row.reply)
				_ = c.Close()
			}
		}()
		client := newClient(t, segura.Credentials{BaseURL: "https://segura.invalid", ClientID: "id", ClientSecret: segura.Hide("secret")})
		segura.UseProxy(client, "http://"+listener.Addr().String())

		_, fault := client.Token(t.Context(), nil)

		_ = listener.Close()
		if fault == nil || fault.Code != apisecret.UpstreamUnreachable || !fault.Retryable || !strings.Contains(fault.Message, row.says) || strings.Contains(fault.Message, "malformed") {
			t.Errorf("%q: got %v, want %q in it", row.reply, fault, row.says)
		}
	}
}
