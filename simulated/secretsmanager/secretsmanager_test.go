package secretsmanager_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/secretsmanager"
)

const signature = "AWS4-HMAC-SHA256 Credential=ASIAIOSFODNN7EXAMPLE/20261121/eu-west-1/secretsmanager/aws4_request, " +
	"SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func start(t *testing.T, o secretsmanager.Options) *secretsmanager.Server {
	t.Helper()
	s, err := secretsmanager.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Put("key", "value")
	return s
}

// get reads the secret "key", with a request that edits have changed.
func get(ctx context.Context, s *secretsmanager.Server, edits ...func(*http.Request)) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL(), strings.NewReader(`{"SecretId":"key"}`))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	r.Header.Set("Authorization", signature)
	r.Header.Set("X-Amz-Security-Token", "the-session-token")
	for _, edit := range edits {
		edit(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func wantAnswer(t *testing.T, what string, s *secretsmanager.Server, wantStatus int, want string, edits ...func(*http.Request)) {
	t.Helper()
	status, body, err := get(t.Context(), s, edits...)
	if err != nil || status != wantStatus || !strings.Contains(body, want) {
		t.Errorf("%s: got %d %.1000s (%v), want %d with %.1000s", what, status, body, err, wantStatus, want)
	}
}

func TestServe_answersAndRefusesAsAWSDoes(t *testing.T) {
	s := start(t, secretsmanager.Options{})
	s.PutBinary("binary", []byte{0, 1, 2})
	s.Put("deleted", "value")
	s.Delete("deleted")
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	asking := func(input string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(input)), int64(len(input))
		}
	}
	for _, row := range []struct {
		what   string
		edit   func(*http.Request)
		status int
		want   string
	}{
		{"by name", func(*http.Request) {}, 200, `"SecretString":"value"`},
		{"a binary one", asking(`{"SecretId":"binary"}`), 200, `"SecretBinary":"AAEC"`},
		{"absent", asking(`{"SecretId":"absent"}`), 400, "ResourceNotFoundException"},
		{"deleted", asking(`{"SecretId":"deleted"}`), 400, "marked for deletion"},
		{"no signature", header("Authorization", ""), 400, "MissingAuthenticationTokenException"},
		{"another service's signature", header("Authorization", strings.Replace(signature, "/secretsmanager/", "/s3/", 1)), 400, "MissingAuthenticationTokenException"},
		{"another operation", header("X-Amz-Target", "secretsmanager.PutSecretValue"), 400, "UnknownOperationException"},
		{"another method", func(r *http.Request) { r.Method = http.MethodGet }, 404, "UnknownOperationException"},
		{"no JSON", asking("x"), 400, "SerializationException"},
	} {
		wantAnswer(t, row.what, s, row.status, row.want, row.edit)
	}
	if got := s.Requests(); len(got) != 9 || s.Reads() != 9 || got[2].SecretID != "absent" {
		t.Errorf("got the records %+v, want nine", got)
	}
}

func TestFail_playsFaultsInTheirOrder(t *testing.T) {
	s := start(t, secretsmanager.Options{})
	for _, row := range []struct {
		fault  secretsmanager.Fault
		status int
		want   string // in the body
	}{
		{secretsmanager.Throttling, 400, `"__type":"ThrottlingException"`},
		{secretsmanager.Throttling, 400, `"__type":"ThrottlingException"`},
		{secretsmanager.AccessDenied, 400, `is not authorized to perform: secretsmanager:GetSecretValue`},
		{secretsmanager.KeyAccessDenied, 400, `Access to KMS is not allowed`},
		{secretsmanager.SignatureMismatch, 400, `x-amz-security-token:the-session-token`},
		{secretsmanager.ExpiredToken, 400, `"__type":"ExpiredTokenException"`},
		{secretsmanager.InvalidToken, 400, `"__type":"UnrecognizedClientException"`},
		{secretsmanager.Garbage, 200, `It works!`},
		{secretsmanager.NoValue, 200, `"VersionStages":["AWSCURRENT"]}`},
		{secretsmanager.GiantBody, 200, strings.Repeat("x", 16<<20)},
	} {
		s.Fail(row.fault, 1)
		wantAnswer(t, string(row.fault), s, row.status, row.want)
	}
	wantAnswer(t, "after the faults", s, 200, `"value"`)

	s.Fail(secretsmanager.InternalError, 2)
	s.Fail(secretsmanager.Unavailable, 0)
	var got []int
	for range 4 {
		status, _, _ := get(t.Context(), s)
		got = append(got, status)
	}
	if want := []int{500, 500, 503, 503}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.Reset()
	if wantAnswer(t, "after Reset", s, 200, `"value"`); s.Reads() != 1 {
		t.Errorf("after Reset: got %d reads", s.Reads())
	}
}

func TestFail_breaksTheConnection(t *testing.T) {
	s := start(t, secretsmanager.Options{})
	for fault, want := range map[secretsmanager.Fault]string{
		secretsmanager.Hang: "deadline exceeded", secretsmanager.Reset: "connection reset", secretsmanager.CutShort: "unexpected EOF",
	} {
		timeout := time.Minute
		if fault == secretsmanager.Hang {
			timeout = 300 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		s.Fail(fault, 1)
		if _, body, err := get(ctx, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s (%v), want %s", fault, body, err, want)
		}
		cancel()
	}
}

func TestDelay_letsCallsWait(t *testing.T) {
	s := start(t, secretsmanager.Options{})
	s.Delay(50*time.Millisecond, 1)
	began := time.Now()

	wantAnswer(t, "delayed", s, 200, `"value"`)

	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("got an answer after %v, want 50ms at least", took)
	}
}

func TestStart_advertisesTheHostThatItIsTold(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer pair.Close()
	for want, o := range map[string]secretsmanager.Options{
		"http://127.0.0.1:":            {Address: "0.0.0.0:0"},
		"http://host.docker.internal:": {AdvertiseHost: "host.docker.internal"},
		"https://127.0.0.1:":           {Certificate: &pair.TLS.Certificates[0]},
	} {
		s := start(t, o)
		if !strings.HasPrefix(s.URL(), want) {
			t.Errorf("%+v: got %s, want %s", o, s.URL(), want)
		}
		if o.Certificate != nil {
			response, err := pair.Client().Get(s.URL())
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
	}
}
