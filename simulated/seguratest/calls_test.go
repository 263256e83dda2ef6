package seguratest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"segura-enable/simulated/seguratest"
)

func basicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

func TestEnable_answersAsTheVendorsPageShows(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()

	first, second := c.enables(5), c.enables(5)

	wantStatus(t, first, 200)
	wantBody(t, first, `{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false,"error_code":0,"detail":"","mensagem":"Api secret activated successfully","erro":false,"cod_erro":0}}`)
	wantHolds(t, second, 200, `"message":"Api secret has already been activated"`)
	if !segura.Active(5) || segura.Active(100) {
		t.Errorf("states: got %v, want 5 and 6 active", segura.States())
	}
}

func TestDisable_answersAsTheVendorsPageShows(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()

	first, second := c.calls("secretapi/inactive", 6), c.calls("secretapi/inactive", 6)

	wantHolds(t, first, 200, `"message":"Api secret successfully deactivated","error":false`)
	wantHolds(t, second, 200, `"message":"Api secret has already been deactivated","error":false`)
	if segura.Active(6) {
		t.Error("the API secret is still active")
	}
}

func TestEnable_saysWhyItCannot(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()
	envelope := func(message string, code int) string {
		return fmt.Sprintf(`{"code":400,"response":{"status":400,"message":"%[1]s","error":true,"error_code":0,"detail":"","mensagem":"%[1]s","erro":true,"cod_erro":0},"exception":{"code":%[2]d,"message":"%[1]s","detail":null}}`, message, code)
	}

	marked, unknown, denied := c.enables(7), c.enables(9223372036854775807), c.calls("secretapi/inactive", 8)

	for _, a := range []answer{marked, unknown} {
		wantStatus(t, a, 400)
		wantBody(t, a, envelope("1005: Api secret not found", 1005))
	}
	wantStatus(t, denied, 400)
	wantBody(t, denied, envelope("1006: User does not have access", 1006))
}

func TestGenerations_wordAndShapeTheirRepliesDifferently(t *testing.T) {
	for _, row := range []struct {
		generation                seguratest.Generation
		enabled, already, missing string
	}{
		{
			seguratest.V332,
			`{"response":{"status":200,"message":"API secret  successfully activated","error":false,"error_code":0,"detail":"","mensagem":"API secret  successfully activated","erro":false,"cod_erro":0}}`,
			`"API secret has already been activated"`,
			`"exception":{"code":1005,"message":"1005: Api secret not found","detail":""}}`,
		},
		{
			seguratest.Minimal,
			`{"response":{"status":200,"message":"Api secret activated successfully","error":false}}`,
			`"Api secret has already been activated"`,
			`{"response":{"status":400,"message":"1005: Api secret not found","error":true}}`,
		},
		{
			seguratest.CapitalMessage,
			`{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false,"error_code":0,"detail":"","Message":"Api secret activated successfully","erro":false,"cod_erro":0}}`,
			`"Message":"Api secret has already been activated"`,
			`"Message":"1005: Api secret not found"`,
		},
		{
			seguratest.WithTenant,
			`{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false,"error_code":0,"detail":"","mensagem":"Api secret activated successfully","erro":false,"cod_erro":0,"tenant":"default"}}`,
			`"tenant":"default"`,
			`"tenant":"default"`,
		},
		{
			seguratest.NumbersAsStrings,
			`{"code":"200","response":{"status":"200","message":"Api secret activated successfully","error":false,"error_code":"0","detail":"","mensagem":"Api secret activated successfully","erro":false,"cod_erro":"0"}}`,
			`"status":"200"`,
			`"exception":{"code":"1005","message":"1005: Api secret not found","detail":null}}`,
		},
	} {
		segura := start(t, seguratest.Options{Generation: row.generation})
		c := newCaller(t, segura).hasToken()

		enabled, already, missing := c.enables(5), c.enables(5), c.enables(7)

		wantBody(t, enabled, row.enabled)
		wantHolds(t, already, 200, row.already)
		wantHolds(t, missing, 400, row.missing)
		for _, a := range []answer{enabled, already, missing} {
			if !json.Valid([]byte(a.body)) {
				t.Errorf("generation %d: got %q, want JSON", row.generation, a.body)
			}
		}
	}
}

func TestPasswordRoute_enablesAnotherObject(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()

	first, second := c.calls("password/active", 5), c.calls("password/active", 5)
	off, offAgain := c.calls("password/inactive", 5), c.calls("password/inactive", 5)

	wantHolds(t, first, 200, `"message":"Password successfully activated"`)
	wantHolds(t, second, 200, `"message":"Password has already been activated"`)
	wantHolds(t, off, 200, `"message":"Password successfully deactivated"`)
	wantHolds(t, offAgain, 200, `"message":"Password has already been deactivated"`)
	if got := segura.PasswordsEnabled(); !slices.Equal(got, []int64{5}) {
		t.Errorf("passwords enabled: got %v, want [5]", got)
	}
	if segura.Active(5) {
		t.Error("the API secret of that number was enabled")
	}
	if got := segura.Count(seguratest.KindPasswordEnable); got != 2 {
		t.Errorf("calls of the wrong route: got %d, want 2", got)
	}
}

func TestPathsThatAreNotSegurasGetTheGatewaysNotFound(t *testing.T) {
	segura := start(t, seguratest.Options{AnyIdentifier: true})
	c := newCaller(t, segura).hasToken()
	authorization := []string{"Authorization", "Bearer " + c.token, "Accept", "application/json"}
	outside := strings.TrimSuffix(segura.URL(), "/pam")

	for _, address := range []string{
		outside + "/api/mysafe/secretapi/active/5",
		segura.URL() + "//api/mysafe/secretapi/active/5",
		segura.URL() + "/api/mysafe/secretapi/active/",
		segura.URL() + "/api/mysafe/secretapi/active/05",
		segura.URL() + "/api/mysafe/secretapi/active/0",
		segura.URL() + "/api/mysafe/secretapi/active/-5",
		segura.URL() + "/api/mysafe/secretapi/active/5/",
		segura.URL() + "/api/mysafe/secretapi/active/5%2F6",
		segura.URL() + "/api/mysafe/secretapi/active/..%2F..%2Fpassword%2Factive%2F5",
		segura.URL() + "/api/mysafe/secretapi/active/9223372036854775808",
		segura.URL() + "/api/mysafe/secretapi/5",
	} {
		wantHolds(t, c.do("POST", address, "", authorization...), 404, "no Route matched")
	}
	wantHolds(t, c.do("PUT", segura.URL()+"/api/mysafe/secretapi/active/5", "", authorization...), 404, "no Route matched")
	if got := segura.Count(seguratest.KindOther); got != 12 {
		t.Errorf("requests without a route: got %d, want 12", got)
	}
}

func TestPaths_canBeOtherOnes(t *testing.T) {
	segura := start(t, seguratest.Options{
		BasePath: "/", TokenPath: "/oauth/token",
		EnablePath: "/v9/{identifier}/on", DisablePath: "/v9/{identifier}/off",
	})
	c := newCaller(t, segura)

	c.token = accessToken(t, c.do("POST", segura.TokenURL(), c.goodForm().Encode(),
		"Content-Type", "application/x-www-form-urlencoded"))
	on := c.do("POST", segura.URL()+"/v9/5/on", "", "Authorization", "Bearer "+c.token)
	off := c.do("POST", segura.URL()+"/v9/5/off", "", "Authorization", "bearer "+c.token)

	wantHolds(t, on, 200, "activated successfully")
	wantHolds(t, off, 200, "successfully deactivated")
	var secret map[string]string
	if err := json.Unmarshal([]byte(segura.SecretJSON(nil)), &secret); err != nil {
		t.Fatal(err)
	}
	if secret["enable_path"] != "/v9/{identifier}/on" || secret["disable_path"] != "/v9/{identifier}/off" ||
		secret["token_url"] != segura.TokenURL() {
		t.Errorf("secret: got %v, want the paths in it", secret)
	}
}

func TestGateway_answersInTheFormatThatIsAskedFor(t *testing.T) {
	for _, row := range []struct {
		older       bool
		accept      string
		contentType string
		body        string // %s is the request id
	}{
		{false, "application/json", "application/json; charset=utf-8", "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"%s\"\n}"},
		{false, "text/plain, */*", "application/json; charset=utf-8", "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"%s\"\n}"},
		{false, "", "text/plain; charset=utf-8", "no Route matched with those values\nrequest_id: %s\n"},
		{true, "application/json", "application/json; charset=utf-8", "{\n  \"message\":\"no Route matched with those values\"\n}"},
		{true, "", "text/plain; charset=utf-8", "no Route matched with those values\n"},
	} {
		segura := start(t, seguratest.Options{OlderGateway: row.older})
		c := newCaller(t, segura)

		a := c.do("POST", segura.URL()+"/api/mysafe/secretapi/active/5", "", "Accept", row.accept)

		id := segura.Requests()[0].ID
		if row.accept == "" { // an empty Accept asks for nothing
			a.header.Del("Accept")
		}
		wantStatus(t, a, 404)
		wantBody(t, a, strings.ReplaceAll(row.body, "%s", id))
		if got := a.header.Get("Content-Type"); got != row.contentType {
			t.Errorf("Content-Type for Accept %q: got %q, want %q", row.accept, got, row.contentType)
		}
		if got := a.header.Get("X-Kong-Request-Id"); (got == id) == row.older || (got == "") != row.older {
			t.Errorf("X-Kong-Request-Id, older gateway %t: got %q, request id %q", row.older, got, id)
		}
	}
	html := newCaller(t, start(t, seguratest.Options{}))
	wantHolds(t, html.do("GET", html.segura.URL()+"/x", "", "Accept", "text/html"), 404, "<p>no Route matched with those values.</p>")
}

func TestHead_isAnsweredAtTheBaseAddress(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura)

	there, slash, elsewhere := c.do("HEAD", segura.URL(), ""), c.do("HEAD", segura.URL()+"/", ""), c.do("HEAD", segura.URL()+"/x", "")

	wantStatus(t, there, 200)
	wantStatus(t, slash, 200)
	wantStatus(t, elsewhere, 404)
	if got := segura.Count(seguratest.KindHead); got != 3 {
		t.Errorf("HEAD requests: got %d, want 3", got)
	}
}
