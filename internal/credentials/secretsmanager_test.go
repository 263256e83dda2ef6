package credentials_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/credentials"
	"segura-enable/internal/segura"
	"segura-enable/simulated/secretsmanager"
)

// AWS credentials of the function's, none of which may be seen anywhere.
const (
	accessKeyID     = "ASIAMARKERACCESSKEY1"
	secretAccessKey = "marker/secret/access/key+EXAMPLE"
	sessionToken    = "marker-session-token-IQoJb3JpZ2luX2VjEXAMPLE"
)

// overNetwork returns a source with the real client of AWS's SDK, whose endpoint
// is at the address, and its log.
func overNetwork(t *testing.T, endpoint string, attemptTimeout time.Duration) (*credentials.Source, *bytes.Buffer) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": accessKeyID, "AWS_SECRET_ACCESS_KEY": secretAccessKey, "AWS_SESSION_TOKEN": sessionToken,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint, "AWS_PROFILE": "", "AWS_CONFIG_FILE": "/nowhere", "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
	}
	client, err := credentials.NewSecretsManager(t.Context(), attemptTimeout, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	return &credentials.Source{
		SecretsManager: client,
		SecretID:       "segura/mysafe-key",
		TTL:            time.Minute,
		StalePatience:  time.Second,
		Segura:         segura.Options{UserAgent: "test", AttemptTimeout: time.Second, Connections: 1},
		Log:            slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, &log
}

func startManager(t *testing.T) *secretsmanager.Server {
	t.Helper()
	server, err := secretsmanager.Start(t.Context(), secretsmanager.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	server.Put("segura/mysafe-key", secret("MARKER"))
	return server
}

func requireNoCredentials(t *testing.T, what, text string) {
	t.Helper()
	for _, marker := range []string{accessKeyID, secretAccessKey, sessionToken, "marker-session", "MARKER", "Signature=", "AWS4-HMAC"} {
		if strings.Contains(text, marker) {
			t.Errorf("%s shows %q: %s", what, marker, text)
		}
	}
}

func TestNewSecretsManager_readsTheSecret(t *testing.T) {
	server := startManager(t)
	source, log := overNetwork(t, server.URL(), 5*time.Second)

	client, fault := source.Client(t.Context())

	if client == nil || fault != nil || server.Reads() != 1 {
		t.Fatalf("got %v after %d reads", fault, server.Reads())
	}
	got := server.Requests()[0]
	if got.SecretID != "segura/mysafe-key" || got.Target != "secretsmanager.GetSecretValue" || got.Header.Get("X-Amz-Security-Token") != sessionToken {
		t.Errorf("got %s of %s", got.Target, got.SecretID)
	}
	requireNoCredentials(t, "the log", log.String())
}

func TestNewSecretsManager_readsABinarySecret(t *testing.T) {
	server := startManager(t)
	server.PutBinary("segura/mysafe-key", []byte(secret("binary")))
	source, _ := overNetwork(t, server.URL(), 5*time.Second)

	if client, fault := source.Client(t.Context()); client == nil || fault != nil {
		t.Errorf("got %v", fault)
	}
}

// What the SDK's errors come to.
func TestReread_judgesEveryErrorOfTheSDK(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	for _, row := range []struct {
		fault     secretsmanager.Fault
		retryable bool
		says      string
	}{
		{secretsmanager.Throttling, true, "throttles"},
		{secretsmanager.InternalError, true, "out of order"},
		{secretsmanager.Unavailable, true, "out of order"},
		{secretsmanager.Hang, true, "cannot be reached"},
		{secretsmanager.Reset, true, "cannot be reached"},
		{secretsmanager.CutShort, true, "cannot be reached"},
		{secretsmanager.AccessDenied, false, "GetSecretValue"},
		{secretsmanager.KeyAccessDenied, false, "kms:Decrypt"},
		{secretsmanager.DecryptionFailure, false, "kms:Decrypt"},
		{secretsmanager.ResourceNotFound, false, "SEGURA_SECRET_ID"},
		{secretsmanager.MarkedForDeletion, false, "deletion"},
		{secretsmanager.SignatureMismatch, false, "cannot be read"},
		{secretsmanager.ExpiredToken, false, "cannot be read"},
		{secretsmanager.InvalidToken, false, "cannot be read"},
		{secretsmanager.Garbage, false, "cannot be read"},
		{secretsmanager.NoValue, false, "cannot be used"},
	} {
		t.Run(string(row.fault), func(t *testing.T) {
			server := startManager(t)
			timeout := 10 * time.Second
			if row.fault == secretsmanager.Hang {
				timeout = 300 * time.Millisecond
			}
			source, log := overNetwork(t, server.URL(), timeout)
			server.Fail(row.fault, 1)

			client, fault := source.Reread(t.Context())

			if client != nil || fault == nil || fault.Code != apisecret.CredentialsUnavailable || fault.Retryable != row.retryable || !strings.Contains(fault.Message, row.says) {
				t.Fatalf("got %+v, want credentials_unavailable, retryable %t, with %q", fault, row.retryable, row.says)
			}
			requireNoCredentials(t, "the fault", fmt.Sprintf("%+v %#v", *fault, fault))
			requireNoCredentials(t, "the log", log.String())
			if _, fault := source.Reread(t.Context()); fault != nil && row.fault != secretsmanager.Hang {
				t.Errorf("the next read: %v", fault)
			}
		})
	}
}

// Read to its end, the reply would be a good one.
func TestReread_boundsAReply(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	document, _ := json.Marshal(secret("MARKER"))
	for padding, isRead := range map[int]bool{0: true, 2 << 20: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"SecretString":%s,"Name":"%s"}`, document, strings.Repeat("x", padding))
		}))
		defer server.Close()
		source, _ := overNetwork(t, server.URL, 5*time.Second)

		client, fault := source.Reread(t.Context())

		if (client != nil) != isRead || fault != nil && fault.Code != apisecret.CredentialsUnavailable {
			t.Errorf("a reply of %d bytes and a little: got %v, want it read: %t", padding, fault, isRead)
		}
	}
}

func TestReread_tellsThatNobodyIsThere(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://secretsmanager..invalid"} {
		source, _ := overNetwork(t, endpoint, 10*time.Second)

		_, fault := source.Reread(t.Context())

		if fault == nil || fault.Code != apisecret.CredentialsUnavailable || !fault.Retryable || !strings.Contains(fault.Message, "cannot be reached") {
			t.Errorf("%s: got %+v, want credentials_unavailable, retryable", endpoint, fault)
		}
	}
}

func TestReread_takesARejectedCertificateForFinal(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	source, _ := overNetwork(t, server.URL, 10*time.Second)

	_, fault := source.Reread(t.Context())

	if fault == nil || fault.Code != apisecret.CredentialsUnavailable || fault.Retryable {
		t.Errorf("got %+v, want credentials_unavailable, not retryable", fault)
	}
}

func TestReread_leavesRepetitionToTheSDK(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "")
	server := startManager(t)
	source, _ := overNetwork(t, server.URL(), 5*time.Second)
	server.Fail(secretsmanager.InternalError, 1)

	_, fault := source.Reread(t.Context())

	if fault != nil || server.Reads() != 2 {
		t.Errorf("got %v after %d calls, want success at the second", fault, server.Reads())
	}
}

func TestReread_tellsTheDeadlineFromAFaultBeforeIt(t *testing.T) {
	for _, row := range []struct {
		first secretsmanager.Fault
		left  time.Duration
		want  apisecret.Code
	}{
		{secretsmanager.Hang, 200 * time.Millisecond, apisecret.DeadlineExceeded},
		{secretsmanager.Unavailable, 2 * time.Second, apisecret.CredentialsUnavailable},
		{secretsmanager.Reset, 2 * time.Second, apisecret.CredentialsUnavailable},
	} {
		server := startManager(t)
		source, _ := overNetwork(t, server.URL(), 5*time.Second)
		server.Fail(row.first, 1)
		server.Fail(secretsmanager.Hang, -1)
		ctx, cancel := context.WithTimeout(t.Context(), row.left)

		_, fault := source.Reread(ctx)
		cancel()

		if fault == nil || fault.Code != row.want || !fault.Retryable {
			t.Errorf("%s, and then no answer: got %+v, want %s, retryable", row.first, fault, row.want)
		}
	}
}

// Something in between may answer in AWS's place, in no form of AWS's.
func TestReread_goesByTheStatusOfWhatIsNoAnswerOfAWS(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	for status, retryable := range map[int]bool{429: true, 502: true, 503: true, 403: false, 404: false, 407: false} {
		for kind, body := range map[string]string{"text/html": "<html>MARKER</html>", "application/x-amz-json-1.1": `{"__type":"MARKERException","message":"MARKER"}`} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			}))
			defer server.Close()
			source, _ := overNetwork(t, server.URL, 5*time.Second)

			_, fault := source.Reread(t.Context())

			if fault == nil || fault.Code != apisecret.CredentialsUnavailable || fault.Retryable != retryable || strings.Contains(fault.Message, "MARKER") {
				t.Errorf("%d as %s: got %+v, want credentials_unavailable, retryable %t", status, kind, fault, retryable)
			}
		}
	}
}

func TestReread_followsNoRedirect(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	source, _ := overNetwork(t, redirecting.URL, 10*time.Second)

	_, fault := source.Reread(t.Context())

	if fault == nil || fault.Code != apisecret.CredentialsUnavailable || followed {
		t.Errorf("got %v, followed: %t", fault, followed)
	}
}
