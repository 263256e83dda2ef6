package credentials_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/credentials"
	"segura-enable/internal/strictjson"
	local "segura-enable/simulated/secretsmanager"
)

// AWS credentials of the function's, none of which may be seen anywhere.
const (
	accessKeyID     = "ASIAMARKERACCESSKEY1"
	secretAccessKey = "marker/secret/access/key+EXAMPLE"
	sessionToken    = "marker-session-token-IQoJb3JpZ2luX2VjEXAMPLE"
)

var discard = slog.New(slog.DiscardHandler)

// onlyEnv clears the AWS variables, and sets those of Lambda and the given ones.
func onlyEnv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	all := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": accessKeyID, "AWS_SECRET_ACCESS_KEY": secretAccessKey, "AWS_SESSION_TOKEN": sessionToken}
	maps.Copy(all, env)
	for name, value := range all {
		t.Setenv(name, value)
	}
}

// What the SDK defines is read by the SDK; here is what a function depends on.
func TestNewSecretsManager_isConfiguredAsTheSDKDefinesIt(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(profile, []byte("[profile other]\nregion = eu-north-1\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	container := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"AccessKeyId": "ASIACONTAINER", "SecretAccessKey": "x", "Token": "y", "Expiration": "2099-01-01T00:00:00Z"}`))
	})
	without := func(more map[string]string) map[string]string { // AWS credentials of Lambda's
		all := map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
		maps.Copy(all, more)
		return all
	}
	for want, env := range map[string]map[string]string{
		"eu-west-1 " + accessKeyID + " <nil> 3":                        {"AWS_PROFILE": "nobody"}, // a stray profile beside keys
		"eu-north-1 AKIAOTHER <nil> 3":                                 without(map[string]string{"AWS_PROFILE": "other", "AWS_CONFIG_FILE": profile, "AWS_REGION": ""}),
		"eu-west-1 ASIACONTAINER <nil> 3":                              without(map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": container}),
		"eu-west-1  <nil> 3":                                           without(nil),
		"eu-west-1 " + accessKeyID + " https://one.example.com/path 7": {"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://one.example.com/path", "AWS_MAX_ATTEMPTS": "7"},
	} {
		onlyEnv(t, env)

		client, err := credentials.NewSecretsManager(t.Context(), time.Second, discard)

		if err != nil {
			t.Errorf("%v: got %v", env, err)
			continue
		}
		o := client.Options()
		keys, _ := o.Credentials.Retrieve(t.Context())
		endpoint := "<nil>"
		if o.BaseEndpoint != nil {
			endpoint = *o.BaseEndpoint
		}
		if got := fmt.Sprintf("%s %s %s %d", o.Region, keys.AccessKeyID, endpoint, o.Retryer.MaxAttempts()); got != want {
			t.Errorf("%v: got %s, want %s", env, got, want)
		}
	}
}

func TestNewSecretsManager_namesTheVariableThatCannotBeUsed(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_MAX_ATTEMPTS": "many", "AWS_RETRY_MODE": "never", "AWS_USE_FIPS_ENDPOINT": "yes", "AWS_CA_BUNDLE": "/nonexistent.pem", "AWS_PROFILE": "nobody",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": "localhost:4566", "AWS_ENDPOINT_URL": "vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com",
	} {
		env := map[string]string{name: value}
		if name == "AWS_PROFILE" {
			env["AWS_ACCESS_KEY_ID"] = ""
		}
		onlyEnv(t, env)

		_, err := credentials.NewSecretsManager(t.Context(), time.Second, discard)

		if err == nil || !strings.HasPrefix(err.Error(), "AWS configuration: ") || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: got %v, want one line that names it", name, value, err)
		}
	}
}

func TestNewSecretsManager_trustsTheAuthoritiesOfTheBundleAndNoOthers(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer pair.Close()
	server := startManager(t, local.Options{Certificate: &pair.TLS.Certificates[0]})
	right := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate().Raw}))
	path := filepath.Join(t.TempDir(), "bundle.pem")

	for _, row := range []struct {
		bundle, path      string
		starts, isTrusted bool
		warns             string
	}{
		{right, path, true, true, ""},
		{right + right[:200], path, true, true, "block 2 is cut"},
		{right + "-----BEGIN X-----\nAAAA\n-----END X-----\n", path, true, true, "block 2, which is no certificate"},
		{"", "", true, false, ""},
		{"no certificate here", path, false, false, ""},
		{"", t.TempDir(), false, false, ""},
	} {
		if err := os.WriteFile(path, []byte(row.bundle), 0o600); err != nil {
			t.Fatal(err)
		}
		onlyEnv(t, map[string]string{"AWS_CA_BUNDLE": row.path, "AWS_ENDPOINT_URL_SECRETS_MANAGER": server.URL(), "AWS_MAX_ATTEMPTS": "1"})
		var log bytes.Buffer

		client, err := credentials.NewSecretsManager(t.Context(), 5*time.Second, slog.New(slog.NewTextHandler(&log, nil)))

		if got := log.String(); (err == nil) != row.starts || (got == "") != (row.warns == "") || !strings.Contains(got, row.warns) {
			t.Errorf("%+v: got error %v and the log %s", row, err, got)
		}
		if err != nil {
			continue
		}
		_, err = client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("segura/mysafe-key")})
		if (err == nil) != row.isTrusted {
			t.Errorf("%+v: got error %v", row, err)
		}
	}
}

// overNetwork returns a source with the real client of AWS's SDK, which makes so many
// attempts (empty: as many as by default) at the endpoint, and its log.
func overNetwork(t *testing.T, endpoint, attempts string, attemptTimeout time.Duration) (*credentials.Source, *bytes.Buffer) {
	t.Helper()
	onlyEnv(t, map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint, "AWS_MAX_ATTEMPTS": attempts})
	client, err := credentials.NewSecretsManager(t.Context(), attemptTimeout, discard)
	if err != nil {
		t.Fatal(err)
	}
	source, _, log := given()
	source.SecretsManager = client
	return source, log
}

// serve starts a server that answers in AWS's place, and returns its address.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

func startManager(t *testing.T, o local.Options) *local.Server {
	t.Helper()
	server, err := local.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	server.Put("segura/mysafe-key", secret("MARKER"))
	return server
}

// requireFault has a fault be credentials_unavailable with these words, and nothing of
// AWS's credentials or AWS's reply in it or in the log.
func requireFault(t *testing.T, what string, got *apisecret.Error, retryable bool, says string, log *bytes.Buffer) {
	t.Helper()
	if got == nil || got.Code != apisecret.CredentialsUnavailable || got.Retryable != retryable || !strings.Contains(got.Message, says) {
		t.Fatalf("%s: got %+v, want credentials_unavailable, retryable %t, with %q", what, got, retryable, says)
	}
	text := fmt.Sprintf("%+v %#v %s", *got, got, log)
	for _, marker := range []string{accessKeyID, secretAccessKey, sessionToken, "marker-session", "MARKER", "Signature=", "AWS4-HMAC"} {
		if strings.Contains(text, marker) {
			t.Errorf("%s: %q shows in %s", what, marker, text)
		}
	}
}

func TestReread_readsTheSecretWithTheSDKsRepetitions(t *testing.T) {
	server := startManager(t, local.Options{})
	server.Fail(local.InternalError, 1)
	source, log := overNetwork(t, server.URL(), "", 5*time.Second)

	client, fault := source.Reread(t.Context())

	if client == nil || fault != nil || server.Reads() != 2 || log.Len() > 0 {
		t.Fatalf("got %v after %d reads and the log %s, want success at the second", fault, server.Reads(), log)
	}
	if got := server.Requests()[0]; got.SecretID != "segura/mysafe-key" || got.Target != "secretsmanager.GetSecretValue" || got.Header.Get("X-Amz-Security-Token") != sessionToken {
		t.Errorf("got %s of %s", got.Target, got.SecretID)
	}
}

// What the SDK's errors come to.
func TestReread_judgesEveryErrorOfTheSDK(t *testing.T) {
	for _, row := range []struct {
		fault     local.Fault
		retryable bool
		says      string
	}{
		{local.Throttling, true, "throttles"}, {local.InternalError, true, "out of order"}, {local.Unavailable, true, "out of order"},
		{local.Hang, true, "cannot be reached"}, {local.Reset, true, "cannot be reached"}, {local.CutShort, true, "cannot be reached"},
		{local.AccessDenied, false, "GetSecretValue"}, {local.KeyAccessDenied, false, "kms:Decrypt"}, {local.DecryptionFailure, false, "kms:Decrypt"},
		{local.ResourceNotFound, false, "There is no AWS secret"}, {local.MarkedForDeletion, false, "deletion"},
		{local.SignatureMismatch, false, "cannot be read"}, {local.ExpiredToken, false, "cannot be read"}, {local.Garbage, false, "cannot be read"},
		{local.NoValue, false, "cannot be used"},
	} {
		server := startManager(t, local.Options{})
		timeout := 10 * time.Second
		if row.fault == local.Hang {
			timeout = 300 * time.Millisecond
		}
		source, log := overNetwork(t, server.URL(), "1", timeout)
		server.Fail(row.fault, 1)

		_, fault := source.Reread(t.Context())

		requireFault(t, string(row.fault), fault, row.retryable, row.says, log)
	}
}

// Something in between may answer in AWS's place, in no form of AWS's, or nobody.
func TestReread_judgesWhatIsNoAnswerOfAWS(t *testing.T) {
	requireJudged := func(what, endpoint string, retryable bool, says string) {
		t.Helper()
		source, log := overNetwork(t, endpoint, "1", 5*time.Second)

		_, fault := source.Reread(t.Context())

		requireFault(t, what, fault, retryable, says, log)
	}
	for status, retryable := range map[int]bool{429: true, 502: true, 403: false, 404: false} {
		for kind, body := range map[string]string{"text/html": "<html>MARKER</html>", "application/x-amz-json-1.1": `{"__type":"SomeException","message":"MARKER"}`} {
			requireJudged(fmt.Sprintf("%d as %s", status, kind), serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			}), retryable, "")
		}
	}
	requireJudged("nobody", "http://127.0.0.1:1", true, "cannot be reached")
	requireJudged("a name that nobody has", "http://secretsmanager..invalid", true, "cannot be reached")
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	untrusted.StartTLS()
	defer untrusted.Close()
	requireJudged("a rejected certificate", untrusted.URL, false, "")
}

// Read to its end, the reply would be a good one.
func TestReread_boundsAReply(t *testing.T) {
	for padding, isRead := range map[int]bool{0: true, 2 << 20: false} {
		endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"SecretString":%s,"Name":"%s"}`, strictjson.Encode(secret("MARKER")), strings.Repeat("x", padding))
		})
		source, _ := overNetwork(t, endpoint, "1", 5*time.Second)

		client, fault := source.Reread(t.Context())

		if (client != nil) != isRead || fault != nil && fault.Code != apisecret.CredentialsUnavailable {
			t.Errorf("a reply of %d bytes and a little: got %v, want it read: %t", padding, fault, isRead)
		}
	}
}

func TestReread_tellsTheDeadlineFromAFaultBeforeIt(t *testing.T) {
	for _, row := range []struct {
		first local.Fault
		left  time.Duration
		want  apisecret.Code
	}{
		{local.Hang, 200 * time.Millisecond, apisecret.DeadlineExceeded},
		{local.Unavailable, 2 * time.Second, apisecret.CredentialsUnavailable},
		{local.Reset, 2 * time.Second, apisecret.CredentialsUnavailable},
	} {
		server := startManager(t, local.Options{})
		source, _ := overNetwork(t, server.URL(), "", 5*time.Second)
		server.Fail(row.first, 1)
		server.Fail(local.Hang, -1)
		ctx, cancel := context.WithTimeout(t.Context(), row.left)

		_, fault := source.Reread(ctx)
		cancel()

		if fault == nil || fault.Code != row.want || !fault.Retryable {
			t.Errorf("%s, and then no answer: got %+v, want %s, retryable", row.first, fault, row.want)
		}
	}
}

func TestReread_followsNoRedirect(t *testing.T) {
	followed := false
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { followed = true })
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		source, _ := overNetwork(t, serve(t, http.RedirectHandler(elsewhere, status).ServeHTTP), "1", 10*time.Second)

		_, fault := source.Reread(t.Context())

		if fault == nil || fault.Code != apisecret.CredentialsUnavailable || followed {
			t.Errorf("%d: got %v, followed: %t", status, fault, followed)
		}
	}
}
