package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/credentials"
	"segura-enable/internal/segura"
)

const (
	ttl      = 5 * time.Minute
	patience = 10 * time.Second
)

// secret is a usable AWS secret with this client secret, and perhaps more fields.
func secret(clientSecret string, more ...string) string {
	return `{"base_url":"https://segura.example.com","client_id":"MARKER-client-id","client_secret":"` + clientSecret + `"` + strings.Join(more, "") + `}`
}

// expires is the field expires_at.
func expires(at string) string { return `,"expires_at":"` + at + `"` }

// apiError is an error that AWS answered with.
func apiError(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "MARKER message of AWS"}
}

// transient is an error that another try may cure.
var transient = apiError("ThrottlingException")

// manager is a Secrets Manager by hand. Its next answers are those of the script;
// the last one goes on.
type manager struct {
	takes  time.Duration
	script []any // a string: the secret; a []byte: as SecretBinary; an error; nil: no value
	asked  []string
}

func (m *manager) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	m.asked = append(m.asked, aws.ToString(in.SecretId))
	answer := m.script[0]
	m.script = m.script[min(1, len(m.script)-1):]
	select {
	case <-time.After(m.takes):
	case <-ctx.Done():
		return nil, &aws.RequestCanceledError{Err: ctx.Err()}
	}
	switch answer := answer.(type) {
	case string:
		return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(answer)}, nil
	case []byte:
		return &secretsmanager.GetSecretValueOutput{SecretBinary: answer}, nil
	case error:
		return nil, answer
	default:
		return &secretsmanager.GetSecretValueOutput{}, nil
	}
}

// given returns a source of a manager that plays the script, and its log.
func given(script ...any) (*credentials.Source, *manager, *bytes.Buffer) {
	m := &manager{script: script}
	var log bytes.Buffer
	return &credentials.Source{
		SecretsManager: m,
		SecretID:       "segura/mysafe-key",
		TTL:            ttl,
		StalePatience:  patience,
		Segura:         segura.Options{UserAgent: "test", AttemptTimeout: time.Second, Connections: 1},
		Log:            slog.New(slog.NewJSONHandler(&log, nil)),
	}, m, &log
}

func must(t *testing.T, s *credentials.Source) *segura.Client {
	t.Helper()
	client, fault := s.Client(t.Context())
	if fault != nil || client == nil {
		t.Fatalf("got %v", fault)
	}
	return client
}

func TestClient_isReusedUntilItsTTLIsOverAndUnlessTheSecretChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		otherwise := `{ "client_secret":"\u0061", "client_id":"MARKER-client-id", "tenant":null, "note":"new", "base_url":"https://segura.example.com"}`
		source, manager, log := given(secret("a"), otherwise, secret("b"), []byte(secret("b")), secret("c"))
		reads := 0
		source.OnRead = func(context.Context) { reads++ }
		first := must(t, source)

		for read, want := range []bool{true, false, true} { // whether the client stays
			time.Sleep(ttl - time.Nanosecond)
			before := must(t, source)
			early := len(manager.asked)
			time.Sleep(time.Nanosecond)

			if after := must(t, source); (after == before) != want || early != read+1 || len(manager.asked) != read+2 {
				t.Errorf("read %d: the same client %t, want %t; %d reads within the TTL, %d in all", read+2, after == before, want, early, len(manager.asked))
			}
		}
		last := must(t, source)
		past, fault := source.Reread(t.Context()) // whatever the cache holds
		if fault != nil || last == first || past == last || must(t, source) != past || reads != 5 || slices.ContainsFunc(manager.asked, func(id string) bool { return id != "segura/mysafe-key" }) || log.Len() > 0 {
			t.Errorf("got %v, the clients %p, %p and %p, %d reads, asked for %q, the log %s", fault, first, last, past, reads, manager.asked, log)
		}
	})
}

func TestClient_usesAnExpiredCopyWhileReadingFailsWithATransientFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, log := given(secret("a"))
		first := must(t, source)
		manager.script = []any{transient}

		for range 5 {
			time.Sleep(24 * time.Hour)
			if must(t, source) != first {
				t.Error("got another client, want the expired copy")
			}
		}
		_, fault := source.Reread(t.Context())
		tried := len(manager.asked) - 1
		manager.script = []any{secret("a")}
		time.Sleep(30*time.Second - time.Nanosecond)
		must(t, source) // without asking again
		time.Sleep(time.Nanosecond)
		recovered := must(t, source)
		time.Sleep(ttl - time.Nanosecond)
		must(t, source)

		if tried != 6 || fault == nil || !fault.Retryable || len(manager.asked) != 8 || recovered != first {
			t.Errorf("got %d tries, %v and %d reads in all, want 6 and, since the TTL begins anew, 8", tried, fault, len(manager.asked))
		}
		if got := log.String(); strings.Count(got, "its expired copy is used") != 5 || strings.Contains(got, "MARKER") {
			t.Errorf("got the log %s", got)
		}
	})
}

func TestClient_stopsUsingTheCopyWhenItIsDeniedOrDeleted(t *testing.T) {
	for _, code := range []string{"AccessDeniedException", "InvalidRequestException", "ResourceNotFoundException", "DecryptionFailure", "SomethingNewException"} {
		synctest.Test(t, func(t *testing.T) {
			source, manager, log := given(secret("a"))
			first := must(t, source)
			manager.script = []any{apiError(code), transient, secret("a")}
			time.Sleep(ttl)

			_, fault := source.Client(t.Context())
			_, later := source.Client(t.Context())

			requireFault(t, code, fault, false, "", log)
			if later == nil {
				t.Errorf("%s: the copy came back with the next transient fault", code)
			}
			if must(t, source) == first {
				t.Errorf("%s: got the old client, want a new one", code)
			}
		})
	}
}

func TestClient_usesAnExpiredCopyWhileTheDocumentCannotBeUsed(t *testing.T) {
	for name, document := range map[string]any{"no JSON": "MARKER{", "unusable": `{"base_url":"http://MARKER","client_id":"a","client_secret":"b"}`, "empty": nil} {
		synctest.Test(t, func(t *testing.T) {
			source, manager, log := given(secret("a"))
			found := 0
			source.OnUnusable = func(context.Context) { found++ }
			first := must(t, source)
			manager.script = []any{document}
			time.Sleep(ttl)

			for range 3 {
				if must(t, source) != first {
					t.Errorf("%s: got another client, want the expired copy", name)
				}
			}
			reads := len(manager.asked)
			_, fault := source.Reread(t.Context())
			kept := must(t, source)

			requireFault(t, name, fault, false, "cannot be used", log)
			if fault.Cause != apisecret.SecretUnusable || kept != first || reads != 2 || found != 2 || strings.Count(log.String(), `"level":"ERROR"`) != 2 {
				t.Errorf("%s: got %+v, the copy is kept: %t, %d reads before, %d found unusable, the log %s", name, fault, kept == first, reads, found, log)
			}
		})
	}
}

func TestClient_waitsNoLongerForAReadThanItMustWhileACopyIsAtHand(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{ // until the caller's deadline; 0: none
		0: patience, time.Hour: patience, 15 * time.Second: 5 * time.Second, 300 * time.Millisecond: 100 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			source, manager, _ := given(secret("a"))
			first := must(t, source)
			manager.takes = time.Hour
			time.Sleep(ttl)
			ctx, cancel := context.WithCancel(t.Context())
			if left > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), left)
			}
			defer cancel()
			began := time.Now()

			client, fault := source.Client(ctx)

			if took := time.Since(began); client != first || fault != nil || took != want {
				t.Errorf("with %s left: got the copy: %t, %v after %s, want it after %s", left, client == first, fault, took, want)
			}
		})
	}
}

func TestClient_waitsForTheFirstReadUntilItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"))
		manager.takes = time.Hour
		began := time.Now()
		wait := func(most time.Duration) <-chan *apisecret.Error {
			told := make(chan *apisecret.Error)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), most)
				defer cancel()
				_, fault := source.Client(ctx)
				told <- fault
			}()
			synctest.Wait()
			return told
		}
		reader := wait(20 * time.Second)
		waiter := wait(time.Second) // for the same read

		early, earlyAfter := <-waiter, time.Since(began)
		late, lateAfter := <-reader, time.Since(began)

		if early == nil || early.Code != apisecret.DeadlineExceeded || earlyAfter != time.Second {
			t.Errorf("the waiter: got %v after %s, want deadline_exceeded after a second", early, earlyAfter)
		}
		if late == nil || late.Code != apisecret.DeadlineExceeded || !late.Retryable || lateAfter != 20*time.Second {
			t.Errorf("the reader: got %v after %s, want deadline_exceeded, retryable, after 20 s", late, lateAfter)
		}
		if len(manager.asked) != 1 {
			t.Errorf("got %d reads, want one for both", len(manager.asked))
		}
	})
}

func TestClient_namesTheFieldThatCannotBeUsed(t *testing.T) {
	for document, want := range map[string]string{
		`{"base_url":"http://MARKER.example.com","client_id":"a","client_secret":"b"}`:                                      "base_url",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","ca_certificate":"MARKER"}`:                            "ca_certificate",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","enable_path":"/mysafe/password/{identifier}/MARKER"}`: "enable_path",
		`{"base_url":"https://x","client_id":"a","client_secret":null,"tenant":"MARKER"}`:                                   "client_secret",
		`{"base_url":"https://x","client_id":"a","client_secret":5,"tenant":"MARKER"}`:                                      "client_secret",
		`["MARKER"]`: "JSON object",
	} {
		source, _, log := given(document)

		_, fault := source.Client(t.Context())

		requireFault(t, document, fault, false, want, log)
	}
}

func TestSource_showsNothingOfTheSecret(t *testing.T) {
	source, _, _ := given(secret("MARKER-client-secret"))
	must(t, source)
	source.SecretsManager = nil // which knows the secret, here

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		if got := fmt.Sprintf(verb, source); strings.Contains(got, "MARKER") || strings.Contains(got, "example.com") || strings.Contains(got, fmt.Sprintf("%x", "MARKER")) {
			t.Errorf("%s: got %s", verb, got)
		}
	}
}

// Callers are sent to the log for the cause, whatever log level is configured. Of what
// AWS and the SDK say, there are the letters and digits of the error's name.
func TestReread_logsAsAnErrorWhatNoRepetitionCures(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, row := range []struct {
		err        error
		level, log string
	}{
		{apiError("InvalidSignatureException"), "ERROR", "InvalidSignatureException"},
		{apiError("AccessDeniedException"), "ERROR", "AccessDeniedException"},
		{transient, "WARN", "ThrottlingException"},
		{apiError("09AZaz\x1b[31m é\n{\"a\":1}" + long), "ERROR", "09AZaz31ma1" + long[:64-len("09AZaz31ma1")]},
		{errors.New("MARKER error of the SDK's"), "ERROR", "no request or no readable reply"},
	} {
		source, _, log := given(row.err)

		_, fault := source.Reread(t.Context())

		requireFault(t, row.err.Error(), fault, row.level == "WARN", "", log)
		if got := log.String(); !strings.Contains(got, `"level":"`+row.level+`"`) || !strings.Contains(got, `"aws_error":"`+row.log+`"`) {
			t.Errorf("%v: logged %s, want %s and the level %s", row.err, got, row.log, row.level)
		}
	}
}

// The warning is of the document, though the credentials in it may be the same.
func TestReread_warnsOnceOfEachDocumentThatWasMended(t *testing.T) {
	const document, clientSecret, expiry = `"fields":["document"]`, `"fields":["client_secret"]`, "expires_at is not a time"
	source, manager, log := given()
	source.OnUnusable = func(context.Context) { t.Error("got told of an unusable document") }
	for read, row := range []struct {
		document string
		warns    []string
	}{
		{secret("a"), nil},
		{"\ufeff" + secret("a"), []string{document}},
		{"\ufeff" + secret("a"), nil},
		{secret("a"), nil},
		{"\ufeff" + secret("a"), []string{document}},
		{secret("b "), []string{clientSecret}},
		{secret("b "), nil},
		{"\ufeff" + secret("b ", expires(" ")), []string{`"fields":["document","client_secret","expires_at"]`}},
		{secret("b ", expires("MARKER")), []string{clientSecret, expiry}},
		{secret("b ", expires("MARKER")), nil},
		{secret("b"), nil},
		{secret("b", expires("MARKER")), []string{expiry}},
		{secret("c", expires("MARKER")), []string{expiry}},
	} {
		manager.script = []any{row.document}
		log.Reset()

		if _, fault := source.Reread(t.Context()); fault != nil {
			t.Fatal(fault)
		}

		got := log.String()
		if strings.Count(got, `"level":"WARN"`) != len(row.warns) || strings.Count(got, "\n") != len(row.warns) || strings.Contains(got, "MARKER") {
			t.Errorf("read %d: got %q, want warnings of %q", read+1, got, row.warns)
		}
		for _, warning := range row.warns {
			if !strings.Contains(got, warning) {
				t.Errorf("read %d: got %q, want a warning of %s", read+1, got, warning)
			}
		}
	}
}

func TestClient_tellsWhenItsAccessKeyExpiresEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, log := given(secret("a"))
		var told []time.Time
		source.OnExpiry = func(_ context.Context, at time.Time) { told = append(told, at) }
		first := must(t, source)
		before := len(told)

		manager.script = []any{secret("a", expires("2027-03-31T00:00:00Z")), transient}
		time.Sleep(ttl)
		second := must(t, source)
		must(t, source) // from the cache
		time.Sleep(ttl)
		must(t, source) // the expired copy

		want := time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
		if before != 0 || !slices.Equal(told, []time.Time{want, want, want}) {
			t.Errorf("got told %d times before it was known, and %v; want 0, and three times %v", before, told, want)
		}
		if second != first || strings.Contains(log.String(), "expires_at") {
			t.Errorf("got another client, and a new token, for a date alone: %t; or the log %s", second != first, log)
		}
	})
}
