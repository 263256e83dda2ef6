package segura

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// signed is a certificate with its key.
type signed struct {
	der    []byte
	key    crypto.Signer
	parsed *x509.Certificate
}

// sign makes a certificate with the serial 0x7A7B7C, valid for now unless the template
// says when; a nil issuer is itself, and a nil key a new one.
func sign(t *testing.T, template x509.Certificate, issuer *signed, key crypto.Signer) *signed {
	t.Helper()
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	template.SerialNumber = big.NewInt(0x7A7B7C)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	s := &signed{key: key}
	if issuer == nil {
		issuer = &signed{key: key, parsed: &template}
	}
	if s.der, err = x509.CreateCertificate(rand.Reader, &template, issuer.parsed, key.Public(), issuer.key); err != nil {
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

// leaf is a server's certificate, changed.
func leaf(change ...func(*x509.Certificate)) x509.Certificate {
	c := x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	for _, f := range change {
		f(&c)
	}
	return c
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
	root, older := sign(t, authority("root"), nil, nil), sign(t, authority("older"), nil, rsaKey(t))
	intermediate := sign(t, authority("intermediate"), root, nil)
	notAnAuthority := sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "no authority"}, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}, nil, nil)
	good := sign(t, leaf(), root, nil)
	valid := func(from, until time.Duration) x509.Certificate {
		return leaf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until) })
	}
	commonName := leaf(func(c *x509.Certificate) { c.IPAddresses = nil })
	otherHost := leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} })
	sha1 := leaf(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })
	versions := func(least, most uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion = least, most }
	}
	rsaExchange := func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	}
	for name, row := range map[string]struct {
		server *signed
		trust  *signed // nil: the system's authorities
		change func(*tls.Config)
		says   string // empty: it works
	}{
		"a good one":              {good, root, nil, ""},
		"TLS 1.2":                 {good, root, versions(tls.VersionTLS12, tls.VersionTLS12), ""},
		"TLS 1.1 at most":         {good, root, versions(tls.VersionTLS10, tls.VersionTLS11), "TLS 1.2 or newer"},
		"another host's":          {sign(t, otherHost, root, nil), root, nil, "another host"},
		"a Common Name alone":     {sign(t, commonName, root, nil), root, nil, "subject alternative name"},
		"expired":                 {sign(t, valid(-2*time.Hour, -time.Hour), root, nil), root, nil, "expired"},
		"not yet valid":           {sign(t, valid(time.Hour, 2*time.Hour), root, nil), root, nil, "not valid yet"},
		"of an unknown authority": {good, older, nil, "neither ca_certificate in the AWS secret nor what the server sends"},
		"without ca_certificate":  {good, nil, nil, "Put the authority's certificate into ca_certificate"},
		"a missing intermediate":  {sign(t, leaf(), intermediate, nil), root, nil, "intermediate"},
		"a root that is none":     {sign(t, leaf(), notAnAuthority, nil), notAnAuthority, nil, "not marked as an authority"},
		"signed with SHA-1":       {sign(t, sha1, older, rsaKey(t)), older, nil, "SHA-1"},
		"a negative serial":       {&signed{der: negative(good.der), key: good.key}, root, nil, "x509negativeserial"},
		"another's key":           {&signed{der: good.der, key: root.key}, root, nil, "signs with"},
		"RSA key exchange alone":  {sign(t, leaf(), root, rsaKey(t)), root, rsaExchange, "tlsrsakex"},
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
		c := Credentials{BaseURL: "https://" + listener.Addr().String(), ClientID: "id", ClientSecret: Hide("secret")}
		if row.trust != nil {
			c.CACertificate = inPEM("CERTIFICATE", row.trust.der)
		}

		fault := newClient(t, c).Connect(t.Context())

		_ = server.Close()
		switch {
		case row.says == "" && fault != nil, row.says != "" && fault == nil:
			t.Errorf("%s: got %v", name, fault)
		case fault != nil && (verdictOf(Answer{}, fault) != rejectedForGood || !strings.Contains(fault.Message, row.says) || strings.Contains(fault.Message, "127.0.0.1")):
			t.Errorf("%s: got %v, retryable %t; want %q in it, no address, and no other try", name, fault, fault.Retryable, row.says)
		}
	}
}

var (
	noConnection    = transient(apisecret.UpstreamUnreachable, 0).because(apisecret.NoReply)
	rejectedForGood = permanent(apisecret.UpstreamUnreachable, 0, 0).because(apisecret.NoReply)
	timedOut        = transient(apisecret.UpstreamTimeout, 0).because(apisecret.NoReply)
)

// With TLS 1.3 the server rejects our certificate when the client has already begun to
// write. A reset may overtake the alert then, and it takes one more handshake to see it.
// A stranger's is presented too, whatever authorities the server names: that may be
// only the root of a longer chain.
func TestToken_tellsWhatIsWrongWithOurCertificate(t *testing.T) {
	over12 := seguratest.TLSOptions{MaxVersion: tls.VersionTLS12}
	for name, row := range map[string]struct {
		options        seguratest.Options
		none, stranger verdict // without a certificate, and with one of another authority's
		connections    int     // at most
	}{
		"asked for":              {seguratest.Options{RequireClientCertificate: true}, rejectedForGood, rejectedForGood, 2},
		"asked for over TLS 1.2": {seguratest.Options{RequireClientCertificate: true, TLS: over12}, rejectedForGood, rejectedForGood, 1},
		"taken if given":         {seguratest.Options{}, aToken, rejectedForGood, 2},
	} {
		server := seguratest.Start(t, row.options)
		cert, key := server.ClientCertificate()
		strangersCert, strangersKey := server.StrangerCertificate()
		for whose, pair := range map[string]struct {
			cert, key string
			want      verdict
		}{"ours": {cert, key, aToken}, "none": {"", "", row.none}, "a stranger's": {strangersCert, strangersKey, row.stranger}} {
			server.Reset()
			c := credentialsOf(t, server)
			c.ClientCertificate, c.ClientKey = pair.cert, Hide(pair.key)

			token, fault := newClient(t, c, func(o *Options) { o.Retry.MaxAttempts = 3 }).Token(t.Context(), nil)

			if got := tokenVerdict(token, fault); got != pair.want || server.Connections() > row.connections {
				t.Errorf("%s, %s: got %+v (%v) over %d connections, want %+v over at most %d", name, whose, got, fault, server.Connections(), pair.want, row.connections)
			}
			if fault != nil && !strings.Contains(fault.Message, "client_certificate") {
				t.Errorf("%s, %s: got the message %q, want client_certificate in it", name, whose, fault.Message)
			}
		}
	}
}

func TestDo_tellsWhyThereIsNoReply(t *testing.T) {
	for how, row := range map[seguratest.Refused]struct {
		want verdict
		says string
	}{
		seguratest.NotListening: {noConnection, "refused"}, seguratest.ResetOnAccept: {noConnection, "closed"},
		seguratest.SilentOnAccept: {timedOut, "in time"}, seguratest.PlainOnAccept: {noConnection, "does not speak TLS"},
	} {
		s := begin(t, seguratest.Options{})
		if row.want == timedOut {
			s.client = newClient(t, credentialsOf(t, s.Server), func(o *Options) { o.AttemptTimeout = 500 * time.Millisecond })
		}
		s.client.Close() // the next call opens a connection
		_ = s.RefuseConnections(how)

		_, fault := s.do(t.Context(), apisecret.Enable)

		if got := verdictOf(Answer{}, fault); got != row.want || !strings.Contains(fault.Message, row.says) || strings.Contains(fault.Message, "127.0.0.1") {
			t.Errorf("refusal %d: got %+v (%v), want %+v with %q in it and no address", how, got, fault, row.want, row.says)
		}
	}
}

func TestDescribe_namesTheCauseAndWhatToCheck(t *testing.T) {
	for err, want := range map[error]string{
		&net.DNSError{Err: "no such host"}: "name servers", syscall.ECONNREFUSED: "refused", syscall.ENETUNREACH: "no route", syscall.EHOSTUNREACH: "no route",
		syscall.ECONNRESET: "closed", syscall.EPIPE: "closed", io.EOF: "closed", io.ErrUnexpectedEOF: "closed", errors.New("MARKER"): "handshake failed",
	} {
		if got := describe(&net.OpError{Op: "dial", Net: "tcp", Err: err}); !strings.Contains(got, want) || strings.Contains(got, "MARKER") {
			t.Errorf("%v: got %q, want %q in it", err, got, want)
		}
	}
}

// through has a client go through a proxy: net/http reads the variables once in a process.
func through(client *Client, proxy string) *Client {
	client.transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
	return client
}

// The name that cannot be resolved, by any name server, has a word in it that net/http has
// for replies, and so has a proxy's status.
func TestToken_tellsWhyThereIsNoWay(t *testing.T) {
	distrusted := quietServer(t, http.NotFound)
	distrusted.StartTLS()
	proxy := func(reply string) string {
		server := quietServer(t, writes(t, reply, false))
		server.Start()
		return server.URL
	}
	for says, row := range map[string]struct {
		base, proxy string
		want        verdict
	}{
		"cannot be resolved":          {"https://malformed..invalid", "", noConnection},
		"the proxy cannot be reached": {"https://segura.invalid", "http://127.0.0.1:1", noConnection},
		"status 407":                  {"https://segura.invalid", proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), noConnection},
		"status 502":                  {"https://segura.invalid", proxy("HTTP/1.1 502 malformed HTTP response\r\n\r\n"), noConnection},
		"the proxy's certificate":     {"https://segura.invalid", distrusted.URL, rejectedForGood},
	} {
		c := good()
		c.BaseURL = row.base
		client := newClient(t, c)
		if row.proxy != "" {
			through(client, row.proxy)
		}

		_, fault := client.Token(t.Context(), nil)

		if got := verdictOf(Answer{}, fault); got != row.want || !strings.Contains(fault.Message, says) || strings.Contains(fault.Message, "malformed") {
			t.Errorf("got %+v (%v), want %+v with %q in it", got, fault, row.want, says)
		}
	}
}

// The alert of a server that rejects our certificate is looked for with a handshake
// more. It cannot be what broke a connection once any reply has come.
func TestDo_looksForNoAlertOnceAReplyHasCome(t *testing.T) {
	s := begin(t, seguratest.Options{})
	s.Fail(enableCalls, seguratest.CloseConnection(), 2)

	_, fault := s.do(t.Context(), apisecret.Enable)

	if fault == nil || fault.Code != apisecret.UpstreamUnreachable || s.Connections() != 2 {
		t.Errorf("got %v over %d connections, want upstream_unreachable over the one there was and a new one", fault, s.Connections())
	}
}

// Behind a proxy there is no other handshake to be made.
func TestDo_looksForNoAlertPastAProxy(t *testing.T) {
	var dialed atomic.Int32
	server := quietServer(t, http.NotFound)
	server.Config.ConnState = func(net.Conn, http.ConnState) { dialed.Add(1) }
	server.StartTLS()
	client := through(newClient(t, credentialsAt(server)), "http://127.0.0.1:1")
	client.certificateAsked.Store(true)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, newToken("token", 0))

	if fault == nil || fault.Code != apisecret.UpstreamUnreachable || dialed.Load() > 0 {
		t.Errorf("got %v and %d connections past the proxy, want none", fault, dialed.Load())
	}
}

// With TLS 1.3 a reset may overtake the alert with which our certificate is rejected.
func TestWithAlert_findsTheAlertBehindABrokenConnection(t *testing.T) {
	broken := &net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}
	for asks, isRejected := range map[tls.ClientAuthType]bool{tls.RequireAnyClientCert: true, tls.RequestClientCert: false} {
		server := quietServer(t, http.NotFound)
		server.TLS = &tls.Config{ClientAuth: asks, MinVersion: tls.VersionTLS13}
		server.Config.ReadHeaderTimeout = 20 * time.Second
		server.StartTLS()
		client := newClient(t, credentialsAt(server))
		client.certificateAsked.Store(true)
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
		began := time.Now()

		got := client.withAlert(t.Context(), request, broken)

		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("a server that asks in the manner %d: waited %s for an alert", asks, took)
		}
		if (client.rejected(got) != "") != isRejected || !isRejected && !errors.Is(got, broken) {
			t.Errorf("a server that asks in the manner %d: got %v, want the alert: %t", asks, got, isRejected)
		}
	}
}

// With TLS 1.2 a missing certificate is a handshake failure, which has other causes too.
func TestRejected_takesAHandshakeFailureForOursWhereACertificateWasAskedFor(t *testing.T) {
	const certificate, cipher = "it rejected our certificate", "no cipher in common"
	for _, row := range []struct {
		alert string
		asked bool
		want  string // a part of what is said; empty: nothing is
	}{
		{"tls: handshake failure", true, certificate}, {"tls: handshake failure", false, cipher}, {"tls: bad certificate", false, certificate},
		{"tls: insufficient security level", false, cipher}, {"tls: protocol version not supported", false, "TLS 1.2 or newer"},
		{"tls: unknown certificate authority", true, certificate}, {"tls: access denied", true, certificate}, {"tls: internal error", true, ""},
	} {
		client := &Client{certificateAsked: new(atomic.Bool)}
		client.certificateAsked.Store(row.asked)

		got := client.rejected(&net.OpError{Op: "remote error", Err: errors.New(row.alert)})

		if !strings.Contains(got, row.want) || (got == "") != (row.want == "") {
			t.Errorf("%s, asked for a certificate: %t: got %q, want %q in it", row.alert, row.asked, got, row.want)
		}
	}
}
