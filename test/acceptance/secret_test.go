package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

// strangeAuthority is the certificate of an authority that signed nothing here,
// and its key, in PEM.
func strangeAuthority(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "strange CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestSecret_isReadFromStringAndBinary(t *testing.T) {
	t.Parallel()
	w := start(t, setup{before: func(w *world) { w.secrets.PutBinary(secretName, []byte(w.segura.SecretJSON(nil))) }})
	is(t, w.one(5), "SecretBinary", "enabled", "", false, 1)
	w = start(t, setup{before: func(w *world) { w.secrets.Put(secretName, "\n\t "+w.segura.SecretJSON(nil)+"\r\n") }})
	is(t, w.one(5), "SecretString with white space around", "enabled", "", false, 1)
}

func TestSecret_unknownFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	w := start(t, setup{secret: map[string]any{
		"comment": "hello", "password": 7, "nested": map[string]any{"base_url": "http://elsewhere"}, "Base_URL": "http://elsewhere",
		"list": []any{1, nil}, "nothing": false, "insecure_skip_verify": true,
	}})
	is(t, w.one(5), "unknown fields", "enabled", "", false, 1)
}

func TestBaseURL_mayHaveATrailingSlashAndAPathPrefix(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"/", "/pam", "/a/b.c/d-e"} {
		for _, slash := range []string{"", "/"} {
			t.Run(base+slash, func(t *testing.T) {
				t.Parallel()
				w := start(t, setup{
					segura: seguratest.Options{BasePath: base},
					before: func(w *world) { w.putSecret(map[string]any{"base_url": w.segura.URL() + slash}) },
				})
				is(t, w.one(5), base+slash, "enabled", "", false, 1)
				is(t, w.invoke(list("disable", 5)).result.Results[0], base+slash, "disabled", "", false, 1)
				prefix := strings.TrimRight(base, "/")
				want := []string{prefix + "/api/oauth2/token", prefix + "/api/mysafe/secretapi/active/5", prefix + "/api/mysafe/secretapi/inactive/5"}
				for i, r := range w.segura.Requests() {
					if i >= len(want) || r.Path != want[i] || r.Method != "POST" {
						t.Errorf("request %d: got %s %s, want POST of %v", i+1, r.Method, r.Path, want)
					}
				}
			})
		}
	}
}

func TestTokenURL_mayBeAnywhere(t *testing.T) {
	t.Parallel()
	t.Run("another path", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{segura: seguratest.Options{TokenPath: "/oauth/v2/access_token/"}})
		is(t, w.one(5), "another path", "enabled", "", false, 1)
	})
	t.Run("another host", func(t *testing.T) {
		t.Parallel()
		// Two servers: the second one issues tokens that the first one does not
		// honour, which shows where the token came from.
		other := seguratest.Start(t, seguratest.Options{})
		w := start(t, setup{before: func(w *world) {
			w.putSecret(map[string]any{
				"token_url": other.TokenURL(), "client_id": other.ClientID(), "client_secret": other.ClientSecret(),
				"ca_certificate": other.CACertificate() + "\n" + w.segura.CACertificate(),
			})
		}})
		w.mark(other.ClientSecret())
		is(t, w.one(5), "another host", "failed", "authentication_failed", false, 2)
		if n, m := w.segura.Count(seguratest.KindToken), other.Count(seguratest.KindToken); n != 0 || m != 2 {
			t.Errorf("got %d token requests at base_url and %d at token_url, want 0 and 2", n, m)
		}
	})
}

func TestPaths_mayBeConfigured(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{
		EnablePath: "/v2/secrets/{identifier}/on", DisablePath: "/v2/secrets/{identifier}/off",
	}})
	is(t, w.one(5), "enable_path", "enabled", "", false, 1)
	is(t, w.invoke(list("disable", 5)).result.Results[0], "disable_path", "disabled", "", false, 1)
}

func TestCalls_areAsDocumented(t *testing.T) {
	t.Parallel()
	w := start(t, setup{})
	w.enable(5)
	w.invoke(list("disable", 5))
	token := w.segura.Tokens()[0]
	for _, r := range w.segura.Requests(seguratest.KindEnable, seguratest.KindDisable) {
		if r.Method != "POST" || r.Body != "" || r.Header.Get("Content-Length") > "0" {
			t.Errorf("%s: got %s with the body %q, want POST without one", r.Path, r.Method, r.Body)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer "+token {
			t.Errorf("%s: got Authorization %.20q…, want Bearer and the token", r.Path, got)
		}
	}
	if got := len(w.segura.Requests()); got != 3 {
		t.Errorf("got %d requests, want 3", got)
	}
	for _, r := range w.segura.Requests() {
		if got := r.Header.Get("Accept"); got != "application/json" {
			t.Errorf("%s: got Accept %q", r.Path, got)
		}
		agent := r.Header.Get("User-Agent")
		if name, version, ok := strings.Cut(agent, "/"); !ok || strings.HasPrefix(agent, "Go-http-client") || name == "" || !strings.ContainsAny(version, "0123456789") {
			t.Errorf("%s: got User-Agent %q, want one of ours with a version", r.Path, agent)
		}
		if r.Header.Get("Referer") != "" || r.Form.Has("tenant") || r.TLS.ClientCertificate != "" {
			t.Errorf("%s: Referer, tenant or a client certificate was sent without being asked for", r.Path)
		}
		if r.Proto != "HTTP/2.0" || r.TLS.Version < 0x0303 {
			t.Errorf("%s: got %s over TLS %#x, want HTTP/2", r.Path, r.Proto, r.TLS.Version)
		}
	}
}

func TestReferer_isSentWithEveryCall(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{Referer: "https://automation.example/enable"}})
	is(t, w.one(5), "Referer", "enabled", "", false, 1)
	is(t, w.invoke(list("disable", 5)).result.Results[0], "Referer", "disabled", "", false, 1)
	w.putSecret(map[string]any{"referer": nil})

	v := start(t, setup{segura: seguratest.Options{Referer: "https://automation.example/enable"}, secret: map[string]any{"referer": nil}})
	is(t, v.one(5), "no Referer", "failed", "access_denied", false, 1)
}

func TestTenant_thatIsMissingIsRefusedCredentials(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{Tenant: "acme"}, secret: map[string]any{"tenant": nil}})
	is(t, w.one(5), "no tenant", "failed", "authentication_failed", false, 0)
}

func TestClientCertificate_isPresentedWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/2", "HTTP/1.1"} {
		for _, version := range []uint16{0x0303, 0x0304} {
			w := start(t, setup{segura: seguratest.Options{
				RequireClientCertificate: true,
				TLS:                      seguratest.TLSOptions{HTTP1Only: protocol == "HTTP/1.1", MinVersion: version, MaxVersion: version},
			}})
			is(t, w.one(5), protocol, "enabled", "", false, 1)
			for _, r := range w.segura.Requests() {
				if r.TLS.ClientCertificate != "segura-enable" {
					t.Errorf("%s, TLS %#x: got the certificate %q", protocol, version, r.TLS.ClientCertificate)
				}
			}
		}
	}
}

func TestClientCertificate_thatIsRejectedIsNotRetryable(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/2", "HTTP/1.1"} {
		for name, version := range map[string]uint16{"TLS 1.2": 0x0303, "TLS 1.3": 0x0304} {
			for _, which := range []string{"none", "a stranger's"} {
				t.Run(protocol+", "+name+", "+which, func(t *testing.T) {
					t.Parallel()
					w := start(t, setup{
						segura: seguratest.Options{
							RequireClientCertificate: true,
							TLS:                      seguratest.TLSOptions{HTTP1Only: protocol == "HTTP/1.1", MinVersion: version, MaxVersion: version},
						},
						before: func(w *world) {
							fields := map[string]any{"client_certificate": nil, "client_key": nil}
							if which != "none" {
								fields["client_certificate"], fields["client_key"] = w.segura.StrangerCertificate()
							}
							w.putSecret(fields)
						},
					})
					for range 3 { // the alert and the end of the connection race each other
						is(t, w.one(5), which, "failed", "upstream_unreachable", false, 0)
					}
				})
			}
		}
	}
}

func TestCACertificate_isTrustedInsteadOfTheSystemsRoots(t *testing.T) {
	t.Parallel()
	other, _ := strangeAuthority(t)
	roots := func(t *testing.T, w *world) map[string]string {
		file := filepath.Join(t.TempDir(), "roots.pem")
		if err := os.WriteFile(file, []byte(w.segura.CACertificate()), 0o600); err != nil {
			t.Fatal(err)
		}
		return map[string]string{"SSL_CERT_FILE": file}
	}
	t.Run("without one the system's roots count", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{secret: map[string]any{"ca_certificate": nil}, before: func(w *world) { w.setup.env = roots(t, w) }})
		is(t, w.one(5), "system root", "enabled", "", false, 1)
	})
	t.Run("with another one they do not", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{secret: map[string]any{"ca_certificate": other}, before: func(w *world) { w.setup.env = roots(t, w) }})
		is(t, w.one(5), "another authority", "failed", "upstream_unreachable", false, 0)
	})
	t.Run("without one an unknown authority is rejected", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{secret: map[string]any{"ca_certificate": nil}})
		is(t, w.one(5), "unknown authority", "failed", "upstream_unreachable", false, 0)
	})
	t.Run("it may be a bundle", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{before: func(w *world) {
			w.putSecret(map[string]any{"ca_certificate": "# one\n" + other + "\n# two\n" + w.segura.CACertificate()})
		}})
		is(t, w.one(5), "a bundle", "enabled", "", false, 1)
	})
}

func TestCertificate_ofSeguraIsAlwaysVerified(t *testing.T) {
	t.Parallel()
	for name, quality := range map[string]seguratest.Certificate{
		"wrong host": seguratest.CertificateWrongHost, "expired": seguratest.CertificateExpired, "not yet valid": seguratest.CertificateNotYetValid,
		"self-signed": seguratest.CertificateSelfSigned, "unknown authority": seguratest.CertificateUnknownAuthority,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: seguratest.Options{TLS: seguratest.TLSOptions{Certificate: quality}}})
			is(t, w.one(5), name, "failed", "upstream_unreachable", false, 0)
			if n := w.segura.Count(""); n != 0 {
				t.Errorf("got %d requests, want none", n)
			}
		})
	}
}

func TestTLS_below12IsNeverSpoken(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"1.0": 0x0301, "1.1": 0x0302} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{TLS: seguratest.TLSOptions{MinVersion: version, MaxVersion: version}},
				env:    map[string]string{"GODEBUG": "tls10server=1,tlsmaxrsasize=8192"},
			})
			is(t, w.one(5), "TLS "+name, "failed", "upstream_unreachable", false, 0)
		})
	}
	for name, version := range map[string]uint16{"1.2": 0x0303, "1.3": 0x0304} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: seguratest.Options{TLS: seguratest.TLSOptions{MinVersion: version, MaxVersion: version}}})
			is(t, w.one(5), "TLS "+name, "enabled", "", false, 1)
			for _, r := range w.segura.Requests() {
				if r.TLS.Version != version {
					t.Errorf("got TLS %#x, want %#x", r.TLS.Version, version)
				}
			}
		})
	}
}

func TestRedirects_areNeverFollowed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	elsewhere := seguratest.Start(t, seguratest.Options{AnyIdentifier: true})
	identifier := int64(1000)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{
			elsewhere.URL() + "/api/mysafe/secretapi/active/5", w.segura.URL() + "/api/mysafe/password/active/5",
			"/pam/api/mysafe/secretapi/active/1999", "http://127.0.0.1:1/", "//" + elsewhere.Address() + "/",
		} {
			identifier++
			w.segura.Fail(seguratest.Match{Identifier: identifier}, seguratest.Redirect(status, location), -1)
			got := w.one(identifier)
			is(t, got, location, "failed", "unexpected_response", false, 1)
			if got.Error != nil && got.Error.HTTPStatus != status {
				t.Errorf("%d to %s: got http_status %d", status, location, got.Error.HTTPStatus)
			}
		}
		w.segura.RevokeTokens()
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Redirect(status, elsewhere.TokenURL()), 1)
		is(t, w.one(1900), "of the token endpoint", "failed", "unexpected_response", false, 1)
	}
	if n := elsewhere.Count("") + elsewhere.Connections(); n != 0 {
		t.Errorf("got %d requests and connections elsewhere, want none", n)
	}
	if n := w.segura.CountFor(seguratest.KindEnable, 1999); n != 0 {
		t.Errorf("got %d calls by redirection, want none", n)
	}
}

// passwordRoutes are spellings of the route that enables passwords.
var passwordRoutes = []string{
	"/api/mysafe/password/active/{identifier}",
	"/api/mysafe/password/{identifier}",
	"/mysafe/password/{identifier}",
	"/API/MYSAFE/PASSWORD/ACTIVE/{identifier}",
	"/api/MySafe/Password/active/{identifier}",
	"/api/mysafe//password/active/{identifier}",
	"/api/mysafe/password//active/{identifier}",
	"/api/mysafe/./password/active/{identifier}",
	"/api/mysafe/secretapi/../password/active/{identifier}",
	"/api/x/../mysafe/password/active/{identifier}",
	"/api/mysafe%2Fpassword/active/{identifier}",
	"/api%2fmysafe%2fpassword%2factive/{identifier}",
	"/api/mysafe/%70assword/active/{identifier}",
	"/api/mysafe/passwor%64/active/{identifier}",
	"/api/mysafe/%2570assword/active/{identifier}",
	"/api/mysafe/%252570assword/active/{identifier}",
	"/api/mysafe/%2e/password/active/{identifier}",
	"/api/mysafe/secretapi/%2e%2e/password/active/{identifier}",
	"/api/mysafe/secretapi/.%2E/password/active/{identifier}",
	"/api/mysafe\\password\\active/{identifier}",
	"/api/mysafe/password/active/{identifier}/../../active/{identifier}",
	"//mysafe/password/active/{identifier}",
}

func TestPasswordRoute_makesTheSecretUnusable(t *testing.T) {
	t.Parallel()
	w := start(t, setup{noSecret: true})
	bad := func(about string, fields map[string]any) {
		w.putSecret(fields)
		w.segura.Reset()
		is(t, w.one(5), about, "failed", "credentials_unavailable", false, 0)
		if n := w.segura.Count(""); n != 0 {
			t.Errorf("%s: got %d requests, want none", about, n)
		}
	}
	for _, path := range passwordRoutes {
		bad("enable_path "+path, map[string]any{"enable_path": path})
		bad("disable_path "+path, map[string]any{"disable_path": path})
	}
	url := w.segura.URL()
	bad("put together", map[string]any{"base_url": url + "/api/mysafe", "token_url": w.segura.TokenURL(), "enable_path": "/password/active/{identifier}"})
	bad("put together, with a slash", map[string]any{"base_url": url + "/api/mysafe/", "token_url": w.segura.TokenURL(), "enable_path": "/password/active/{identifier}"})
	bad("in base_url", map[string]any{"base_url": url + "/api/mysafe/password", "token_url": w.segura.TokenURL(), "enable_path": "/active/{identifier}"})
	bad("in base_url, with default paths", map[string]any{"base_url": url + "/mysafe/password/", "token_url": w.segura.TokenURL()})
	bad("in token_url", map[string]any{"token_url": url + "/api/mysafe/password/active/5"})
	bad("behind an encoded slash in base_url", map[string]any{"base_url": url + "/api%2Fmysafe%2F", "token_url": w.segura.TokenURL(), "enable_path": "/password/active/{identifier}"})
}

func TestPaths_thatMerelyLookLikeItAreUsable(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/mysafe/passwords/active/{identifier}", "/api/mypassword/active/{identifier}", "/password/{identifier}"} {
		w := start(t, setup{segura: seguratest.Options{EnablePath: path}})
		is(t, w.one(5), path, "enabled", "", false, 1)
	}
}

func TestSecret_thatCannotBeUsedIsNotRetryable(t *testing.T) {
	t.Parallel()
	w := start(t, setup{noSecret: true})
	const value = "SECRETVALUE-that-must-not-be-repeated"
	w.mark(value)
	cert, _ := w.segura.ClientCertificate()
	_, strangersKey := w.segura.StrangerCertificate()
	_, key := w.segura.ClientCertificate()
	fields := map[string]map[string]any{
		"no base_url":                              {"base_url": nil},
		"no client_id":                             {"client_id": nil},
		"no client_secret":                         {"client_secret": nil},
		"an empty base_url":                        {"base_url": ""},
		"an empty client_id":                       {"client_id": ""},
		"an empty client_secret":                   {"client_secret": ""},
		"base_url that is a number":                {"base_url": 5},
		"client_secret that is an object":          {"client_secret": map[string]any{"a": value}},
		"client_secret that is a list":             {"client_secret": []string{value}},
		"client_id that is a number":               {"client_id": 12345},
		"tenant that is a number":                  {"tenant": 12345},
		"base_url over http":                       {"base_url": strings.Replace(w.segura.URL(), "https:", "http:", 1)},
		"token_url over http":                      {"token_url": strings.Replace(w.segura.TokenURL(), "https:", "http:", 1)},
		"base_url of another scheme":               {"base_url": "ftp://" + value + ".example/"},
		"base_url without a scheme":                {"base_url": value + ".example"},
		"base_url without a host":                  {"base_url": "https:///" + value},
		"base_url that is no URL":                  {"base_url": "https://[" + value},
		"base_url with a bad escape":               {"base_url": "https://host/%zz" + value},
		"base_url with a user":                     {"base_url": strings.Replace(w.segura.URL(), "https://", "https://u:"+value+"@", 1)},
		"ca_certificate that is none":              {"ca_certificate": value},
		"ca_certificate that is a key":             {"ca_certificate": key},
		"client_certificate without client_key":    {"client_certificate": cert},
		"client_key without client_certificate":    {"client_key": key},
		"client_key that is another's":             {"client_certificate": cert, "client_key": strangersKey},
		"client_key that is none":                  {"client_certificate": cert, "client_key": value},
		"client_certificate that is none":          {"client_certificate": value, "client_key": key},
		"auth_style that nobody knows":             {"auth_style": value},
		"auth_style in other letters":              {"auth_style": "BODY"},
		"auth_style post":                          {"auth_style": "post"},
		"enable_path without {identifier}":         {"enable_path": "/api/" + value},
		"disable_path without {identifier}":        {"disable_path": "/api/" + value},
		"referer that no header can carry":         {"referer": "https://a\r\nX-Forged: " + value},
		"base_url with a line break":               {"base_url": w.segura.URL() + "\r\n" + value},
		"enable_path with a line break":            {"enable_path": "/api/\n" + value + "/{identifier}"},
		"enable_path that leads to another host":   {"enable_path": "@" + value + ".example/{identifier}"},
		"enable_path that leads to another domain": {"enable_path": "." + value + ".example/{identifier}"},
	}
	for about, overrides := range fields {
		w.putSecret(overrides)
		w.unusable(about, value)
	}
	valid := w.segura.SecretJSON(nil)
	documents := map[string]string{
		"nothing":           "",
		"white space":       "  \n",
		"no JSON":           "base_url=" + value,
		"null":              "null",
		"a list":            "[" + valid + "]",
		"a string":          `"` + value + `"`,
		"a string of JSON":  asJSON(valid),
		"half of it":        valid[:len(valid)/2],
		"it twice":          valid + valid,
		"something behind":  valid + value,
		"a trailing comma":  strings.TrimSuffix(valid, "}") + ",}",
		"a comment":         "// " + value + "\n" + valid,
		"an unknown escape": strings.Replace(valid, "client-id", `client-\q`, 1),
	}
	for about, document := range documents {
		w.secrets.Put(secretName, document)
		w.unusable(about, value)
	}
	w.secrets.PutBinary(secretName, []byte{0x00, 0xff, 0xfe})
	w.unusable("SecretBinary that is no JSON", value)
	w.secrets.PutBinary(secretName, []byte(strings.Replace(valid, "client-id", "client-\xff\xfe", 1)))
	w.unusable("SecretBinary that is no UTF-8", value)
	if n := w.segura.Count(""); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}

func asJSON(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// unusable checks that the AWS secret as it is now is refused without being
// shown.
func (w *world) unusable(about, value string) {
	w.t.Helper()
	inv := w.enable(5, 6)
	for _, got := range inv.result.Results {
		is(w.t, got, about, "failed", "credentials_unavailable", false, 0)
	}
	if inv.ErrorType != "Segura.PermanentError" {
		w.t.Errorf("%s: got %s", about, inv.ErrorType)
	}
	if strings.Contains(inv.text, value[:11]) || strings.Contains(strings.Join(inv.Logs, "\n"), value[:11]) {
		w.t.Errorf("%s: the value is repeated", about)
	}
}

func TestSecret_optionalFieldsMayBeEmpty(t *testing.T) {
	t.Parallel()
	w := start(t, setup{secret: map[string]any{
		"token_url": "", "tenant": "", "client_certificate": "", "client_key": "", "referer": "", "enable_path": "", "disable_path": "", "auth_style": "",
	}})
	// A form of Secrets Manager's console leaves empty texts; either they count as
	// absent or the secret is refused, but nothing falls back in silence.
	if got := w.one(5); got.Outcome != "enabled" && (got.Error == nil || got.Error.Code != "credentials_unavailable") {
		t.Errorf("got %+v (%+v)", got, got.Error)
	}
}
