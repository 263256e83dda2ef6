package secretsmanager_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/secretsmanager"
)

const signature = "AWS4-HMAC-SHA256 Credential=ASIAIOSFODNN7EXAMPLE/20261121/eu-west-1/secretsmanager/aws4_request, " +
	"SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

type answer struct {
	status int
	body   string
	value  struct {
		ARN, Name, SecretString, VersionId string
		SecretBinary                       []byte
		Type                               string `json:"__type"`
	}
}

func start(t *testing.T) *secretsmanager.Server {
	t.Helper()
	s, err := secretsmanager.Start(t.Context(), secretsmanager.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func get(ctx context.Context, s *secretsmanager.Server, input string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL(), strings.NewReader(input))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	r.Header.Set("Authorization", signature)
	r.Header.Set("X-Amz-Security-Token", "the-session-token")
	return send(r)
}

func send(r *http.Request) (a answer, err error) {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	a.status, a.body = response.StatusCode, string(body)
	if len(body) < 1<<20 { // the giant one would take seconds
		_ = json.Unmarshal(body, &a.value)
	}
	return a, err
}

func mustGet(t *testing.T, s *secretsmanager.Server, input string) answer {
	t.Helper()
	a, err := get(t.Context(), s, input)
	if err != nil {
		t.Fatalf("%s: %v", input, err)
	}
	return a
}

func TestGetSecretValue_findsByNameAndByARN(t *testing.T) {
	s := start(t)
	arn := s.Put("segura/mysafe-key", "the value")
	s.PutBinary("other", []byte{0, 1, 2})

	for _, id := range []string{"segura/mysafe-key", arn, arn[:len(arn)-7]} {
		got := mustGet(t, s, `{"SecretId":"`+id+`"}`)
		if got.status != 200 || got.value.SecretString != "the value" || got.value.ARN != arn || got.value.Name != "segura/mysafe-key" {
			t.Errorf("%s: got %d %s", id, got.status, got.body)
		}
	}
	if got := mustGet(t, s, `{"SecretId":"other"}`).value; string(got.SecretBinary) != "\x00\x01\x02" || got.SecretString != "" {
		t.Errorf("binary: got %+v", got)
	}
	if got := mustGet(t, s, `{"SecretId":"absent"}`); got.status != 400 || got.value.Type != "ResourceNotFoundException" {
		t.Errorf("absent: got %d %s", got.status, got.body)
	}
	if got := s.Reads(); got != 5 {
		t.Errorf("reads: got %d, want 5", got)
	}
}

func TestDelete_lastsUntilTheNextPut(t *testing.T) {
	s := start(t)
	s.Put("key", "value")

	s.Delete("key")
	if got := mustGet(t, s, `{"SecretId":"key"}`); got.value.Type != "InvalidRequestException" || !strings.Contains(got.body, "marked for deletion") {
		t.Errorf("deleted: got %s", got.body)
	}

	s.Put("key", "value")
	if got := mustGet(t, s, `{"SecretId":"key"}`); got.status != 200 {
		t.Errorf("restored: got %s", got.body)
	}
}

func TestServe_refusesWhatAWSRefuses(t *testing.T) {
	s := start(t)
	s.Put("key", "value")
	table := []struct {
		name string
		edit func(*http.Request)
		want string
	}{
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		{"another service's signature", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(signature, "/secretsmanager/", "/s3/", 1))
		}, "MissingAuthenticationTokenException"},
		{"another operation", func(r *http.Request) { r.Header.Set("X-Amz-Target", "secretsmanager.PutSecretValue") }, "UnknownOperationException"},
		{"another method", func(r *http.Request) { r.Method = http.MethodGet }, "UnknownOperationException"},
		{"no JSON", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")); r.ContentLength = 1 }, "SerializationException"},
	}
	for _, row := range table {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), strings.NewReader(`{"SecretId":"key"}`))
		r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
		r.Header.Set("Authorization", signature)
		row.edit(r)
		got, err := send(r)
		if err != nil || got.value.Type != row.want || got.status < 400 {
			t.Errorf("%s: got %d %s %v, want %s", row.name, got.status, got.body, err, row.want)
		}
	}
}

func TestFail_wordsFaultsAsAWSDoes(t *testing.T) {
	table := []struct {
		fault  secretsmanager.Fault
		status int
		want   string // in the body
	}{
		{secretsmanager.Throttling, 400, `"__type":"ThrottlingException"`},
		{secretsmanager.InternalError, 500, `"__type":"InternalServiceError"`},
		{secretsmanager.Unavailable, 503, ``},
		{secretsmanager.AccessDenied, 400, `is not authorized to perform: secretsmanager:GetSecretValue`},
		{secretsmanager.KeyAccessDenied, 400, `Access to KMS is not allowed`},
		{secretsmanager.ResourceNotFound, 400, `"__type":"ResourceNotFoundException"`},
		{secretsmanager.MarkedForDeletion, 400, `marked for deletion`},
		{secretsmanager.DecryptionFailure, 400, `"__type":"DecryptionFailure"`},
		{secretsmanager.SignatureMismatch, 400, `x-amz-security-token:the-session-token`},
		{secretsmanager.ExpiredToken, 400, `"__type":"ExpiredTokenException"`},
		{secretsmanager.InvalidToken, 400, `"__type":"UnrecognizedClientException"`},
		{secretsmanager.Garbage, 200, `It works!`},
		{secretsmanager.NoValue, 200, `"VersionStages":["AWSCURRENT"]`},
	}
	s := start(t)
	s.Put("key", "value")
	for _, row := range table {
		s.Fail(row.fault, 1)
		got := mustGet(t, s, `{"SecretId":"key"}`)
		if got.status != row.status || !strings.Contains(got.body, row.want) {
			t.Errorf("%s: got %d %s, want %d with %s", row.fault, got.status, got.body, row.status, row.want)
		}
		requests := s.Requests()
		if last := requests[len(requests)-1]; last.Fault != row.fault || last.SecretID != "key" {
			t.Errorf("%s: recorded %+v", row.fault, last)
		}
	}
	if got := mustGet(t, s, `{"SecretId":"key"}`); got.value.SecretString != "value" {
		t.Errorf("after the faults: got %s", got.body)
	}
}

func TestFail_breaksTheConnectionAndTheBody(t *testing.T) {
	s := start(t)
	s.Put("key", "value")
	for _, fault := range []secretsmanager.Fault{secretsmanager.Hang, secretsmanager.Reset, secretsmanager.CutShort} {
		ctx, cancel := context.WithCancel(t.Context())
		if fault == secretsmanager.Hang {
			time.AfterFunc(300*time.Millisecond, cancel)
		}
		s.Fail(fault, 1)
		if got, err := get(ctx, s, `{"SecretId":"key"}`); err == nil {
			t.Errorf("%s: got %d %s", fault, got.status, got.body)
		}
		cancel()
		s.ClearFaults()
	}
	s.Fail(secretsmanager.GiantBody, 1)
	if got := mustGet(t, s, `{"SecretId":"key"}`); len(got.body) < 16<<20 {
		t.Errorf("giant body: got %d bytes", len(got.body))
	}
}

func TestFail_lastsAsOftenAsAsked(t *testing.T) {
	s := start(t)
	s.Put("key", "value")
	statuses := func(n int) (got []int) {
		for range n {
			got = append(got, mustGet(t, s, `{"SecretId":"key"}`).status)
		}
		return got
	}

	s.Fail(secretsmanager.InternalError, 2)
	s.Fail(secretsmanager.Throttling, 0)
	got := statuses(4)
	s.Reset()
	after := statuses(1)

	if want := [4]int{500, 500, 400, 400}; [4]int(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if after[0] != 200 || s.Reads() != 1 {
		t.Errorf("after Reset: got %d and %d reads", after[0], s.Reads())
	}
}

func TestStart_speaksTLSWithTheCertificate(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer pair.Close()
	s, err := secretsmanager.Start(t.Context(), secretsmanager.Options{Certificate: &pair.TLS.Certificates[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	response, err := pair.Client().Get(s.URL())

	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if !strings.HasPrefix(s.URL(), "https://") || response.TLS == nil || response.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%s: got %+v", s.URL(), response.TLS)
	}
}

func TestStart_advertisesTheHostThatItIsTold(t *testing.T) {
	for address, want := range map[string]string{"": "http://127.0.0.1:", "0.0.0.0:0": "http://127.0.0.1:"} {
		s, err := secretsmanager.Start(t.Context(), secretsmanager.Options{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(s.URL(), want) {
			t.Errorf("%q: got %s", address, s.URL())
		}
		_ = s.Close()
	}
	s, err := secretsmanager.Start(t.Context(), secretsmanager.Options{AdvertiseHost: "host.docker.internal"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.URL(), "http://host.docker.internal:") {
		t.Errorf("got %s", s.URL())
	}
}
