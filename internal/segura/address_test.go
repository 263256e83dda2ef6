package segura_test

import (
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

// at are credentials that are good but for what change does to them.
func at(change func(*segura.Credentials)) segura.Credentials {
	c := segura.Credentials{BaseURL: "https://segura.example.com/pam", ClientID: "id", ClientSecret: segura.Hide("secret")}
	change(&c)
	return c
}

func TestNew_neverLeadsToTheRouteOfPasswords(t *testing.T) {
	for _, path := range []string{
		"/api/mysafe/password/active/{identifier}",
		"/api/mysafe/password/inactive/{identifier}",
		"/api/mysafe/password/{identifier}",
		"/mysafe/password/{identifier}",
		"/api/mysafe/x/{identifier}/mysafe/password/active",
		"/api/MySafe/Password/active/{identifier}",
		"/API/MYSAFE/PASSWORD/ACTIVE/{identifier}",
		"/api/mysafe/%70assword/active/{identifier}",
		"/api/mysafe/pass%77ord/active/{identifier}",
		"/api/mysafe/p%61ssw%6Frd/active/{identifier}",
		"/api/%6dysafe/%50assword/active/{identifier}",
		"/api/mysafe/%2570assword/active/{identifier}",
		"/api/mysafe/%252570assword/active/{identifier}",
		"/api/mysafe%2Fpassword%2Factive/{identifier}",
		"/api/mysafe%2fpassword/active/{identifier}",
		"/api/mysafe%252Fpassword/active/{identifier}",
		"/api//mysafe//password//active/{identifier}",
		"/api/mysafe/./password/active/{identifier}",
		"/api/mysafe/%2e/password/active/{identifier}",
		"/api/mysafe/secretapi/../password/active/{identifier}",
		"/api/mysafe/secretapi/%2e%2e/password/active/{identifier}",
		"/api/mysafe/secretapi/..%2Fpassword/active/{identifier}",
		"/api/mysafe/secretapi/{identifier}/../../password/active",
		"/api/mysafe/secretapi/%252e%252e/password/active/{identifier}",
		"/mysafe/secretapi/active/{identifier}/../../../password/active",
		"/mysafe/password/../password/{identifier}",
		"//mysafe/password/active/{identifier}",
		"/api/x/../mysafe/password/active/{identifier}",
		"/api%2fmysafe%2fpassword%2factive/{identifier}",
		"/api/mysafe/passwor%64/active/{identifier}",
		"/api/mysafe/secretapi/.%2E/password/active/{identifier}",
	} {
		for field, c := range map[string]segura.Credentials{
			"enable_path":  at(func(c *segura.Credentials) { c.EnablePath = path }),
			"disable_path": at(func(c *segura.Credentials) { c.DisablePath = path }),
			"token_url": at(func(c *segura.Credentials) {
				c.TokenURL = "https://segura.example.com" + strings.Replace(path, "{identifier}", "5", 1)
			}),
			"base_url": at(func(c *segura.Credentials) {
				c.BaseURL = "https://segura.example.com" + strings.Replace(path, "{identifier}", "5", 1)
			}),
		} {
			client, err := segura.New(c, options())

			if client != nil || err == nil {
				t.Errorf("%s of %s: got a client", field, path)
				continue
			}
			if got := err.Error(); !strings.HasPrefix(got, field+" ") || strings.Contains(strings.ToLower(got), "mysafe") {
				t.Errorf("%s of %s: got the error %q, want one that names the field and repeats no value", field, path, got)
			}
		}
	}
}

func TestNew_takesPathsThatMerelyLookLikeThatRoute(t *testing.T) {
	for _, path := range []string{"/api/mysafe/passwords/active/{identifier}", "/api/mypassword/active/{identifier}", "/password/{identifier}"} {
		if _, err := segura.New(at(func(c *segura.Credentials) { c.EnablePath = path }), options()); err != nil {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestNew_neverLeadsToTheRouteOfPasswordsInTwoParts(t *testing.T) {
	for _, row := range []struct{ base, path string }{
		{"https://segura.example.com/api/mysafe/password", "/active/{identifier}"},
		{"https://segura.example.com/api/mysafe", "/password/active/{identifier}"},
		{"https://segura.example.com/api/mysafe/", "/Password/active/{identifier}"},
		{"https://segura.example.com/api/mysafe//", "/password/active/{identifier}"},
		{"https://segura.example.com/api/mysafe", "//password/active/{identifier}"},
		{"https://segura.example.com/api/my%73afe", "/%70assword/active/{identifier}"},
		{"https://segura.example.com/api%2Fmysafe%2F", "/password/active/{identifier}"},
	} {
		if client, err := segura.New(at(func(c *segura.Credentials) { c.BaseURL, c.EnablePath = row.base, row.path }), options()); client != nil || err == nil {
			t.Errorf("%s and %s: got a client", row.base, row.path)
		}
		if client, err := segura.New(at(func(c *segura.Credentials) { c.BaseURL, c.DisablePath = row.base, row.path }), options()); client != nil || err == nil {
			t.Errorf("%s and %s: got a client", row.base, row.path)
		}
	}
}

func TestNew_refusesAddressesThatItCannotUse(t *testing.T) {
	for _, text := range []string{
		"http://segura.example.com", "HTTP://segura.example.com", "ftp://segura.example.com", "segura.example.com", "//segura.example.com", "/pam",
		"https:segura.example.com", "https://", "https:///pam", "https://:443", "https://:443/pam", "https://[::1", "https://segura.example.com:port",
		"https://user@segura.example.com", "https://user:marker@segura.example.com", "https://segura.example.com?x=1", "https://segura.example.com/?",
		"https://segura.example.com/#top", "https://segura.example.com/%zz", "https://segura.example.com/a\nb", " https://segura.example.com", "https://segura example.com",
		"https://segura.example.com/../x", "https://segura.example.com/./x", "https://segura.example.com/%2e%2e/x", "javascript:alert(1)", "https", " ",
	} {
		for field, c := range map[string]segura.Credentials{
			"base_url":  at(func(c *segura.Credentials) { c.BaseURL = text }),
			"token_url": at(func(c *segura.Credentials) { c.TokenURL = text }),
		} {
			client, err := segura.New(c, options())

			if client != nil || err == nil {
				t.Errorf("%s %q: got a client", field, text)
				continue
			}
			if got := err.Error(); !strings.HasPrefix(got, field+" ") || strings.Contains(got, "marker") || strings.Contains(got, "example") {
				t.Errorf("%s %q: got the error %q, want one that names the field and repeats no value", field, text, got)
			}
		}
	}
	if client, err := segura.New(at(func(c *segura.Credentials) { c.BaseURL = "" }), options()); client != nil || err == nil {
		t.Error("without base_url: got a client")
	}
}

func TestNew_refusesPathsWithoutTheIdentifierAsOneSegment(t *testing.T) {
	for _, path := range []string{
		"active/{identifier}", "{identifier}", "https://elsewhere.example.com/{identifier}", " /active/{identifier}",
		"/active", "/active/", "/active/5", "/active/{Identifier}", "/active/{id}", "/active/{ identifier }", "/active/%7Bidentifier%7D",
		"/active/{identifier}{identifier}", "/active/{identifier}/{identifier}", "/active/{identifier}/x{identifier}",
		"/active/x{identifier}", "/active/{identifier}.json", "/active/{identifier};v=1", "/active/{{identifier}}",
		"/active?id={identifier}", "/active/{identifier}?x=1", "/active/{identifier}#top", "/active#/{identifier}", "@evil.example/{identifier}", ".evil.example/{identifier}", "/api/mysafe\\password\\active/{identifier}", "/active/{identifier}\\x", "\\active\\{identifier}",
		"/active/%zz/{identifier}", "/act\nive/{identifier}", "/active/../{identifier}", "/active/./{identifier}", "/{identifier}/..", "/%2e%2e/{identifier}", "/active/\x7f/{identifier}",
	} {
		for field, c := range map[string]segura.Credentials{
			"enable_path":  at(func(c *segura.Credentials) { c.EnablePath = path }),
			"disable_path": at(func(c *segura.Credentials) { c.DisablePath = path }),
		} {
			client, err := segura.New(c, options())

			if client != nil || err == nil {
				t.Errorf("%s %q: got a client", field, path)
				continue
			}
			if got := err.Error(); !strings.HasPrefix(got, field+" ") || strings.Contains(got, "elsewhere") {
				t.Errorf("%s %q: got the error %q, want one that names the field", field, path, got)
			}
		}
	}
}

func TestNew_refusesOtherFieldsThatItCannotUse(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{})
	cert, key := server.ClientCertificate()
	_, otherKey := server.StrangerCertificate()
	for _, row := range []struct {
		name   string
		change func(*segura.Credentials)
		want   string // the field in the error
	}{
		{"no base_url", func(c *segura.Credentials) { c.BaseURL = "" }, "base_url is missing"},
		{"no client_id", func(c *segura.Credentials) { c.ClientID = "" }, "client_id is missing"},
		{"no client_secret", func(c *segura.Credentials) { c.ClientSecret = segura.Hide("") }, "client_secret is missing"},
		{"no client_secret at all", func(c *segura.Credentials) { c.ClientSecret = segura.Sensitive{} }, "client_secret"},
		{"a referer with a line break", func(c *segura.Credentials) { c.Referer = "https://marker/\r\nX: y" }, "referer"},
		{"a referer that is not ASCII", func(c *segura.Credentials) { c.Referer = "https://marker/é" }, "referer"},
		{"an unknown auth_style", func(c *segura.Credentials) { c.AuthStyle = "marker" }, "auth_style"},
		{"an auth_style in other case", func(c *segura.Credentials) { c.AuthStyle = "Basic" }, "auth_style"},
		{"a ca_certificate that is none", func(c *segura.Credentials) { c.CACertificate = "marker" }, "ca_certificate"},
		{"a key for a ca_certificate", func(c *segura.Credentials) { c.CACertificate = key }, "ca_certificate"},
		{"a certificate without its key", func(c *segura.Credentials) { c.ClientCertificate = cert }, "client_key"},
		{"a key without its certificate", func(c *segura.Credentials) { c.ClientKey = segura.Hide(key) }, "client_certificate"},
		{"a key of another certificate", func(c *segura.Credentials) { c.ClientCertificate, c.ClientKey = cert, segura.Hide(otherKey) }, "client_key"},
		{"a key that is none", func(c *segura.Credentials) { c.ClientCertificate, c.ClientKey = cert, segura.Hide("marker") }, "client_key"},
	} {
		client, err := segura.New(at(row.change), options())

		if client != nil || err == nil {
			t.Errorf("%s: got a client", row.name)
			continue
		}
		if got := err.Error(); !strings.Contains(got, row.want) || strings.Contains(got, "marker") {
			t.Errorf("%s: got the error %q, want one that names %s and repeats no value", row.name, got, row.want)
		}
	}
}

func TestDo_callsBelowEveryPrefix(t *testing.T) {
	for _, row := range []struct {
		prefix, slashes string // of the server, and what base_url has behind it
		want            string // the path in front of /api
	}{
		{"/", "", ""},
		{"/", "/", ""},
		{"/", "///", ""},
		{"/pam", "", "/pam"},
		{"/pam", "/", "/pam"},
		{"/pam", "//", "/pam"},
		{"/a/b-c/d.e", "/", "/a/b-c/d.e"},
		{"/a%20b", "", "/a%20b"},
		{"/~tenant;v=1", "", "/~tenant;v=1"},
	} {
		server := seguratest.Start(t, seguratest.Options{BasePath: row.prefix})
		c := credentialsOf(t, server)
		c.BaseURL = server.URL() + row.slashes
		client := newClient(t, c)

		_, enableFault := client.Do(t.Context(), apisecret.Enable, 5, mustToken(t, client))
		_, disableFault := client.Do(t.Context(), apisecret.Disable, 6, mustToken(t, client))

		if enableFault != nil || disableFault != nil {
			t.Errorf("%s: got %v, %v", c.BaseURL, enableFault, disableFault)
		}
		var paths []string
		for _, request := range server.Requests() {
			paths = append(paths, request.Method+" "+request.Path+"?"+request.Query)
		}
		want := "POST " + row.want + "/api/oauth2/token? POST " + row.want + "/api/mysafe/secretapi/active/5? POST " + row.want + "/api/mysafe/secretapi/inactive/6?"
		if got := strings.Join(paths, " "); got != want {
			t.Errorf("%s: got %s, want %s", c.BaseURL, got, want)
		}
	}
}

func TestDo_callsThePathsOfTheAWSSecret(t *testing.T) {
	server, client := start(t, seguratest.Options{
		TokenPath: "/idp/token", EnablePath: "/v4/{identifier}/on", DisablePath: "/v4/100%25/{identifier}",
	})

	_, enableFault := client.Do(t.Context(), apisecret.Enable, 5, mustToken(t, client))
	_, disableFault := client.Do(t.Context(), apisecret.Disable, 6, mustToken(t, client))

	if enableFault != nil || disableFault != nil {
		t.Errorf("got %v, %v", enableFault, disableFault)
	}
	for at, want := range []string{"/pam/idp/token", "/pam/v4/5/on", "/pam/v4/100%25/6"} {
		if got := server.Requests()[at].Path; got != want {
			t.Errorf("request %d: got %s, want %s", at+1, got, want)
		}
	}
}

// Whatever the identifier is, it is one segment of the path.
func TestDo_putsAnyIdentifierIntoOneSegment(t *testing.T) {
	server, client := start(t, seguratest.Options{AnyIdentifier: true})
	token := mustToken(t, client)
	for i, want := range map[apisecret.Identifier]string{
		1:                        "/pam/api/mysafe/secretapi/active/1",
		4294967296:               "/pam/api/mysafe/secretapi/active/4294967296",
		apisecret.MaxIdentifier:  "/pam/api/mysafe/secretapi/active/9223372036854775807",
		apisecret.Identifier(42): "/pam/api/mysafe/secretapi/active/42",
	} {
		if _, fault := client.Do(t.Context(), apisecret.Enable, i, token); fault != nil {
			t.Errorf("%d: %v", i, fault)
		}
		calls := server.Requests(seguratest.KindEnable)
		if got := calls[len(calls)-1].Path; got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
}
