package segura

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// setters set a field of the AWS secret that holds an address.
var setters = map[string]func(c *Credentials, text string){
	"base_url":     func(c *Credentials, text string) { c.BaseURL = text },
	"token_url":    func(c *Credentials, text string) { c.TokenURL = text },
	"enable_path":  func(c *Credentials, text string) { c.EnablePath = text },
	"disable_path": func(c *Credentials, text string) { c.DisablePath = text },
}

// requireRefused requires that no client is made of credentials with that text in the
// field, and that the error names the field and repeats none of the secrets.
func requireRefused(t *testing.T, field, text string, secrets ...string) {
	t.Helper()
	c := good()
	setters[field](&c, text)
	client, err := New(c, options())
	repeats := func(secret string) bool { return strings.Contains(strings.ToLower(err.Error()), secret) }
	if client != nil || err == nil || !strings.HasPrefix(err.Error(), field+" ") || slices.ContainsFunc(secrets, repeats) {
		t.Errorf("%s %q: got %v, want an error that names the field and repeats no value", field, text, err)
	}
}

func TestNew_neverLeadsToTheRouteOfPasswords(t *testing.T) {
	for _, route := range []string{
		"/api/mysafe/password/active/{identifier}", "/api/mysafe/password/inactive/{identifier}", "/api/mysafe/password/{identifier}", "/mysafe/password/{identifier}",
		"/api/mysafe/x/{identifier}/mysafe/password/active", "/api/MySafe/Password/active/{identifier}", "/API/MYSAFE/PASSWORD/ACTIVE/{identifier}",
		"/api/mysafe/%70assword/active/{identifier}", "/api/mysafe/p%61ssw%6Frd/active/{identifier}", "/api/%6dysafe/%50assword/active/{identifier}",
		"/api/mysafe/passwor%64/active/{identifier}", "/api/mysafe/%2570assword/active/{identifier}", "/api/mysafe/%252570assword/active/{identifier}",
		"/api/mysafe%2Fpassword%2Factive/{identifier}", "/api/mysafe%2fpassword/active/{identifier}", "/api/mysafe%252Fpassword/active/{identifier}",
		"/api//mysafe//password//active/{identifier}", "//mysafe/password/active/{identifier}", "/api%2fmysafe%2fpassword%2factive/{identifier}",
		"/api/mysafe/./password/active/{identifier}", "/api/mysafe/%2e/password/active/{identifier}", "/api/mysafe/secretapi/../password/active/{identifier}",
		"/api/mysafe/secretapi/%2e%2e/password/active/{identifier}", "/api/mysafe/secretapi/..%2Fpassword/active/{identifier}",
		"/api/mysafe/secretapi/{identifier}/../../password/active", "/api/mysafe/secretapi/%252e%252e/password/active/{identifier}",
		"/mysafe/secretapi/active/{identifier}/../../../password/active", "/mysafe/password/../password/{identifier}",
		"/api/x/../mysafe/password/active/{identifier}", "/api/mysafe/secretapi/.%2E/password/active/{identifier}",
	} {
		requireRefused(t, "enable_path", route, "mysafe")
		requireRefused(t, "disable_path", route, "mysafe")
		requireRefused(t, "token_url", "https://segura.example.com"+strings.Replace(route, "{identifier}", "5", 1), "mysafe")
		requireRefused(t, "base_url", "https://segura.example.com"+strings.Replace(route, "{identifier}", "5", 1), "mysafe")
	}
	for _, other := range []string{"/api/mysafe/passwords/active/{identifier}", "/api/mypassword/active/{identifier}", "/password/{identifier}"} {
		c := good()
		c.EnablePath = other
		if _, err := New(c, options()); err != nil {
			t.Errorf("%s, which merely looks like it: got %v", other, err)
		}
	}
}

func TestNew_neverLeadsToTheRouteOfPasswordsInTwoParts(t *testing.T) {
	for path, bases := range map[string][]string{
		"/active/{identifier}": {"/api/mysafe/password"}, "/password/active/{identifier}": {"/api/mysafe", "/api/mysafe//", "/api%2Fmysafe%2F"},
		"/Password/active/{identifier}": {"/api/mysafe/"}, "//password/active/{identifier}": {"/api/mysafe"}, "/%70assword/active/{identifier}": {"/api/my%73afe"},
	} {
		for _, base := range bases {
			one, other := good(), good()
			one.BaseURL, one.EnablePath = one.BaseURL+base, path
			other.BaseURL, other.DisablePath = other.BaseURL+base, path
			_, enableErr := New(one, options())
			if _, disableErr := New(other, options()); enableErr == nil || disableErr == nil {
				t.Errorf("base_url with %s and a path %s: got a client", base, path)
			}
		}
	}
}

func TestNew_refusesAddressesThatItCannotUse(t *testing.T) {
	for _, text := range []string{
		"http://segura.example.com", "HTTP://segura.example.com", "ftp://segura.example.com", "segura.example.com", "//segura.example.com", "/pam",
		"https:segura.example.com", "https://", "https:///pam", "https://:443", "https://:443/pam", "https://[::1", "https://segura.example.com:port",
		"https://segura.example.com:99999", "https://segura.example.com:0",
		"https://user@segura.example.com", "https://user:marker@segura.example.com", "https://segura.example.com?x=1", "https://segura.example.com/?",
		"https://segura.example.com/#top", "https://segura.example.com/%zz", "https://segura.example.com/a\nb", " https://segura.example.com",
		"https://segura example.com", "https://segura.example.com/../x", "https://segura.example.com/./x", "https://segura.example.com/%2e%2e/x",
		"javascript:alert(1)", "https", " ",
	} {
		requireRefused(t, "base_url", text, "marker", "example")
		requireRefused(t, "token_url", text, "marker", "example")
	}
}

func TestNew_refusesPathsWithoutTheIdentifierAsOneSegment(t *testing.T) {
	for _, text := range []string{
		"active/{identifier}", "{identifier}", "https://elsewhere.example.com/{identifier}", " /active/{identifier}", "@evil.example/{identifier}",
		".evil.example/{identifier}", "/active", "/active/", "/active/5", "/active/{Identifier}", "/active/{id}", "/active/{ identifier }",
		"/active/%7Bidentifier%7D", "/active/{identifier}{identifier}", "/active/{identifier}/{identifier}", "/active/{identifier}/x{identifier}",
		"/active/x{identifier}", "/active/{identifier}.json", "/active/{identifier};v=1", "/active/{{identifier}}", "/active?id={identifier}",
		"/active/{identifier}?x=1", "/active/{identifier}#top", "/active#/{identifier}", "/api/mysafe\\password\\active/{identifier}",
		"/active/{identifier}\\x", "\\active\\{identifier}", "/active/%zz/{identifier}", "/act\nive/{identifier}", "/active/\x7f/{identifier}",
		"/active/../{identifier}", "/active/./{identifier}", "/{identifier}/..", "/%2e%2e/{identifier}",
	} {
		requireRefused(t, "enable_path", text, "elsewhere", "evil")
		requireRefused(t, "disable_path", text, "elsewhere", "evil")
	}
}

func TestNew_refusesOtherFieldsThatItCannotUse(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{})
	cert, key := server.ClientCertificate()
	_, otherKey := server.StrangerCertificate()
	const encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	older := strings.Replace(key, "\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1)
	pair := func(cert, key string) func(*Credentials) {
		return func(c *Credentials) { c.ClientCertificate, c.ClientKey = cert, Hide(key) }
	}
	for name, row := range map[string]struct {
		change func(*Credentials)
		want   string // in the error; empty: there is none
	}{
		"no base_url":                      {func(c *Credentials) { c.BaseURL = "" }, "base_url is missing"},
		"no client_id":                     {func(c *Credentials) { c.ClientID = "" }, "client_id is missing"},
		"no client_secret":                 {func(c *Credentials) { c.ClientSecret = Sensitive{} }, "client_secret is missing"},
		"a referer with a line break":      {func(c *Credentials) { c.Referer = "https://marker/\r\nX: y" }, "referer"},
		"a referer that is not ASCII":      {func(c *Credentials) { c.Referer = "https://marker/é" }, "referer"},
		"an unknown auth_style":            {func(c *Credentials) { c.AuthStyle = "marker" }, "auth_style"},
		"an auth_style in other case":      {func(c *Credentials) { c.AuthStyle = "Basic" }, "auth_style"},
		"a ca_certificate that is none":    {func(c *Credentials) { c.CACertificate = "marker" }, "ca_certificate"},
		"a certificate without its key":    {pair(cert, ""), "client_key is missing"},
		"a key without its certificate":    {pair("", key), "client_certificate is missing"},
		"a key of another certificate":     {pair(cert, otherKey), "not a pair in PEM"},
		"a key that is none":               {pair(cert, "marker"), "not a pair in PEM"},
		"a key and its certificate":        {pair(key, cert), "client_certificate holds a private key"},
		"two certificates":                 {pair(cert, cert), "client_key holds a certificate"},
		"an encrypted key":                 {pair(cert, encrypted), "client_key is encrypted"},
		"an encrypted key of an older way": {pair(cert, older), "client_key is encrypted"},
		"both in each":                     {pair(cert+key, key+cert), ""},
	} {
		c := good()
		row.change(&c)

		client, err := New(c, options())

		says := fmt.Sprint(err)
		if (client == nil) != (row.want != "") || !strings.Contains(says, row.want) || strings.Contains(says, "marker") {
			t.Errorf("%s: got %v, want an error with %q that repeats no value", name, err, row.want)
		}
	}
}

func TestAddresses_lieBelowEveryBaseURL(t *testing.T) {
	for base, want := range map[string]string{
		"https://a.example": "https://a.example", "https://a.example/": "https://a.example", "https://a.example///": "https://a.example",
		"https://a.example:8443/pam//": "https://a.example:8443/pam", "https://a.example/a/b-c/d.e/": "https://a.example/a/b-c/d.e",
		"https://a.example/a%20b": "https://a.example/a%20b", "https://a.example/~tenant;v=1": "https://a.example/~tenant;v=1",
	} {
		usual, err := newAddresses(Credentials{BaseURL: base})
		own, ownErr := newAddresses(Credentials{BaseURL: base, TokenURL: "https://b.example/idp/", EnablePath: "/v4/{identifier}/on", DisablePath: "/100%25/{identifier}"})

		for got, want := range map[string]string{
			usual.token: want + "/api/oauth2/token", usual.list: want + "/api/mysafe/secretapi", usual.call(apisecret.Enable, 5): want + "/api/mysafe/secretapi/active/5",
			usual.call(apisecret.Disable, apisecret.MaxIdentifier): want + "/api/mysafe/secretapi/inactive/9223372036854775807",
			own.token: "https://b.example/idp/", own.call(apisecret.Enable, 5): want + "/v4/5/on", own.call(apisecret.Disable, 6): want + "/100%25/6",
		} {
			if u, parseErr := url.Parse(got); got != want || err != nil || ownErr != nil || parseErr != nil || u.String() != want {
				t.Errorf("%s: got %s, want %s; %v, %v", base, got, want, err, ownErr)
			}
		}
	}
}

// Whatever the fields say, they are refused, or each call goes to the host and
// below the prefix of the base URL, with the identifier as one segment, and to no
// password.
func FuzzAddresses(f *testing.F) {
	for _, seed := range []string{
		DefaultEnablePath, "/api/mysafe/password/active/{identifier}", "/{identifier}", "//x/{identifier}", "/a b/{identifier}", "/%70/{identifier}",
		"/..;/{identifier}", "/@evil.example/{identifier}", "/api/mysafe/\u202epassword/{identifier}", "/{identifier}/%2e%2e", "/{identifier}:80",
		"/mysafe/PASSWORD%2f/{identifier}", "/x%2f..%2f../mysafe/pass%77ord/{identifier}",
	} {
		f.Add("https://segura.example.com/pam", seed)
	}
	f.Add("https://segura.example.com/api/mysafe", "/password/active/{identifier}")
	f.Add("https://segura.example.com/{identifier}/", "/{identifier}")
	f.Add("https://segura.example.com:8443//", DefaultDisablePath)
	f.Fuzz(func(t *testing.T, base, enablePath string) {
		a, err := newAddresses(Credentials{BaseURL: base, EnablePath: enablePath})
		if err != nil {
			if len(enablePath) > 20 && strings.Contains(err.Error(), enablePath) {
				t.Fatalf("%q, %q: the error repeats a value: %s", base, enablePath, err)
			}
			return
		}
		prefix, err := url.Parse(base)
		if err != nil {
			t.Fatalf("%q is accepted: %v", base, err)
		}
		for action, address := range map[apisecret.Action]string{
			apisecret.Enable: a.call(apisecret.Enable, 4711), apisecret.Disable: a.call(apisecret.Disable, 4711), "token": a.token,
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, http.NoBody)
			if err != nil {
				t.Fatalf("%q, %q: %s: no request can be made: %v", base, enablePath, action, err)
			}
			requireSafe(t, prefix, request.URL, action)
		}
	})
}

func requireSafe(t *testing.T, base, called *url.URL, action apisecret.Action) {
	t.Helper()
	if called.Scheme != "https" || called.Host != base.Host || called.User != nil || called.RawQuery != "" || called.Fragment != "" {
		t.Fatalf("%s: %s goes elsewhere than %s", action, called, base)
	}
	if !strings.HasPrefix(called.Path, strings.TrimRight(base.Path, "/")+"/") || path.Clean(called.Path) == "/" {
		t.Fatalf("%s: %s is not below %s", action, called, base)
	}
	segments := strings.Split(called.EscapedPath(), "/")
	if slices.Contains(segments, "..") || action != "token" && !slices.Contains(segments, "4711") {
		t.Fatalf("%s: %s does not have the identifier as a segment, or has dot segments", action, called)
	}
	for decoded, left := called.Path, 3; left > 0; left-- {
		if strings.Contains(strings.ToLower(path.Clean(decoded))+"/", "/mysafe/password/") {
			t.Fatalf("%s: %s leads to a password", action, called)
		}
		again, err := url.PathUnescape(decoded)
		if err != nil {
			return
		}
		decoded = again
	}
}
