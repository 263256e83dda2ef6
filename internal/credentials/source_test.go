package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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

// secret is a usable AWS secret with this client secret.
func secret(clientSecret string) string {
	return `{"base_url":"https://segura.example.com","client_id":"MARKER-client-id","client_secret":"` + clientSecret + `"}`
}

// apiError is an error that AWS answered with.
func apiError(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "MARKER message of AWS"}
}

// noNetwork is what the SDK says when an attempt of its own found no one.
var noNetwork = apiError("ThrottlingException")

// manager is a Secrets Manager by hand. Its next answers are those of the script;
// the last one goes on.
type manager struct {
	mu     sync.Mutex
	takes  time.Duration
	script []any // a string: the secret; a []byte: as SecretBinary; an error; nil: no value
	reads  int
	asked  []string
}

func (m *manager) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	m.mu.Lock()
	m.reads++
	m.asked = append(m.asked, aws.ToString(in.SecretId))
	takes, answer := m.takes, m.script[0]
	if len(m.script) > 1 {
		m.script = m.script[1:]
	}
	m.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, &aws.RequestCanceledError{Err: ctx.Err()}
		}
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

// plays sets the next answers.
func (m *manager) plays(script ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script = script
}

func (m *manager) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
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

func TestClient_isReusedUntilItsTTLIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"))
		reads := 0
		source.OnRead = func(context.Context) { reads++ }

		first := must(t, source)
		time.Sleep(ttl - time.Nanosecond)
		late := must(t, source)
		early := manager.count()
		time.Sleep(time.Nanosecond)
		again := must(t, source)
		time.Sleep(ttl - time.Nanosecond)
		must(t, source)

		if early != 1 || manager.count() != 2 || reads != 2 {
			t.Errorf("got %d reads within the TTL and %d in all, %d of them told; want 1, 2 and 2", early, manager.count(), reads)
		}
		if late != first || again != first {
			t.Error("got another client although the AWS secret has not changed")
		}
		if got := manager.asked[0]; got != "segura/mysafe-key" {
			t.Errorf("got asked for %q", got)
		}
	})
}

func TestClient_isAnotherOneWhenTheSecretHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, _, _ := given(secret("a"), secret("b"), []byte(secret("b")))
		first := must(t, source)

		time.Sleep(ttl)
		second := must(t, source)
		time.Sleep(ttl)
		third := must(t, source)

		if second == first || third != second {
			t.Errorf("got another client after the change: %t, and without one: %t; want true and false", second != first, third != second)
		}
	})
}

func TestClient_takesASecretThatIsWrittenOtherwiseForUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, _, _ := given(secret("a"), `{ "client_secret":"\u0061", "client_id":"MARKER-client-id", "tenant":null, "note":"new", "base_url":"https://segura.example.com"}`)
		first := must(t, source)

		time.Sleep(ttl)

		if must(t, source) != first {
			t.Error("got another client, want the same")
		}
	})
}

func TestClient_usesAnExpiredCopyWhileReadingFailsWithATransientFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, log := given(secret("a"))
		first := must(t, source)
		manager.plays(noNetwork)

		for range 5 {
			time.Sleep(24 * time.Hour)
			if must(t, source) != first {
				t.Error("got another client, want the expired copy")
			}
		}
		tried := manager.count() - 1
		manager.plays(secret("a"))
		time.Sleep(30*time.Second - time.Nanosecond)
		must(t, source) // without asking again
		time.Sleep(time.Nanosecond)
		recovered := must(t, source)
		time.Sleep(ttl - time.Nanosecond)
		must(t, source)

		if tried != 5 || manager.count() != 7 || recovered != first {
			t.Errorf("got %d tries and %d reads in all, want 5 and, since the TTL begins anew, 7", tried, manager.count())
		}
		if got := log.String(); strings.Count(got, "its expired copy is used") != 5 || strings.Contains(got, "MARKER") {
			t.Errorf("got the log %s", got)
		}
	})
}

func TestClient_stopsUsingTheCopyWhenItIsDeniedOrDeleted(t *testing.T) {
	for name, end := range map[string]any{
		"denied": apiError("AccessDeniedException"), "deleted": apiError("InvalidRequestException"), "gone": apiError("ResourceNotFoundException"),
		"not decrypted": apiError("DecryptionFailure"), "an error nobody listed": apiError("SomethingNewException"),
	} {
		synctest.Test(t, func(t *testing.T) {
			source, manager, log := given(secret("a"))
			first := must(t, source)
			manager.plays(end)
			time.Sleep(ttl)

			_, fault := source.Client(t.Context())

			if fault == nil || fault.Code != apisecret.CredentialsUnavailable || fault.Retryable || strings.Contains(fault.Message, "MARKER") {
				t.Fatalf("%s: got %+v, want credentials_unavailable", name, fault)
			}
			manager.plays(noNetwork)
			if _, fault := source.Client(t.Context()); fault == nil {
				t.Errorf("%s: the copy came back with the next transient fault", name)
			}
			manager.plays(secret("a"))
			if must(t, source) == first {
				t.Errorf("%s: got the old client, want a new one", name)
			}
			if got := log.String(); strings.Contains(got, "MARKER") {
				t.Errorf("%s: got the log %s", name, got)
			}
		})
	}
}

func TestClient_usesAnExpiredCopyWhileTheDocumentCannotBeUsed(t *testing.T) {
	for name, document := range map[string]any{
		"no JSON": "MARKER{", "without a field": `{"base_url":"https://segura.example.com","client_id":"MARKER-id"}`,
		"unusable": `{"base_url":"http://MARKER","client_id":"a","client_secret":"b"}`, "empty": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			source, manager, log := given(secret("a"))
			found := 0
			source.OnUnusable = func(context.Context) { found++ }
			first := must(t, source)
			manager.plays(document)
			time.Sleep(ttl)

			for range 3 {
				if must(t, source) != first {
					t.Errorf("%s: got another client, want the expired copy", name)
				}
			}
			reads := manager.count()
			_, fault := source.Reread(t.Context())
			kept := must(t, source)

			if fault == nil || fault.Code != apisecret.CredentialsUnavailable || fault.Retryable || fault.Cause != apisecret.SecretUnusable || kept != first {
				t.Errorf("%s: read past the cache: got %+v, and the copy is kept: %t", name, fault, kept == first)
			}
			if got := log.String(); reads != 2 || found != 2 || strings.Count(got, `"level":"ERROR"`) != 2 || strings.Contains(got, "MARKER") {
				t.Errorf("%s: got %d reads before, %d found unusable, the log %s", name, reads, found, got)
			}
		})
	}
}

func TestClient_warnsOnceOfWhatWasMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, _, log := given("\ufeff" + `{"base_url":"https://segura.example.com ","client_id":"a","client_secret":"MARKER\n"}`)

		for range 3 {
			must(t, source)
			time.Sleep(ttl)
		}

		if got := log.String(); strings.Count(got, `"fields":["document","base_url","client_secret"]`) != 1 || strings.Count(got, "\n") != 1 || strings.Contains(got, "MARKER") {
			t.Errorf("got the log %s", got)
		}
	})
}

func TestClient_waitsNoLongerForAReadThanItMustWhileACopyIsAtHand(t *testing.T) {
	for _, row := range []struct {
		left time.Duration // until the caller's deadline; 0: none
		want time.Duration
	}{{0, patience}, {time.Hour, patience}, {15 * time.Second, 5 * time.Second}, {300 * time.Millisecond, 100 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			source, manager, _ := given(secret("a"))
			first := must(t, source)
			manager.takes = time.Hour
			time.Sleep(ttl)
			ctx, cancel := context.WithCancel(t.Context())
			if row.left > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), row.left)
			}
			defer cancel()
			began := time.Now()

			client, fault := source.Client(ctx)

			if took := time.Since(began); client != first || fault != nil || took != row.want {
				t.Errorf("with %s left: got the copy: %t, %v after %s, want it after %s", row.left, client == first, fault, took, row.want)
			}
		})
	}
}

func TestClient_waitsForTheFirstReadUntilItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"))
		manager.takes = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()

		_, fault := source.Client(ctx)

		if took := time.Since(began); fault == nil || fault.Code != apisecret.DeadlineExceeded || !fault.Retryable || took != 20*time.Second {
			t.Errorf("got %v after %s, want deadline_exceeded after 20 s", fault, took)
		}
	})
}

func TestClient_isReadOnceForAllWhoAskMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"))
		manager.takes = time.Second
		clients := make(chan *segura.Client, 20)

		for range cap(clients) {
			go func() {
				client, _ := source.Client(t.Context())
				clients <- client
			}()
		}

		first := <-clients
		for range cap(clients) - 1 {
			if got := <-clients; got != first || got == nil {
				t.Errorf("got another client than the first caller: %v", got)
			}
		}
		if got := manager.count(); got != 1 {
			t.Errorf("got %d reads, want 1", got)
		}
	})
}

func TestClient_isReadAgainWhenTheOneWhoReadItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"))
		manager.takes = 10 * time.Second
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone := make(chan *apisecret.Error, 1)
		go func() { _, fault := source.Client(short); gone <- fault }()
		synctest.Wait()

		client, fault := source.Client(t.Context())

		if client == nil || fault != nil || manager.count() != 2 {
			t.Errorf("got %v after %d reads, want a client from the second", fault, manager.count())
		}
		if got := <-gone; got == nil || got.Code != apisecret.DeadlineExceeded {
			t.Errorf("the one who was gone: got %v, want deadline_exceeded", got)
		}
	})
}

func TestClient_letsAWaiterGoAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"))
		manager.takes = 10 * time.Second
		reader := make(chan *apisecret.Error, 1)
		go func() { _, fault := source.Client(t.Context()); reader <- fault }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()

		_, fault := source.Client(ctx)

		if took := time.Since(began); fault == nil || fault.Code != apisecret.DeadlineExceeded || took != time.Second {
			t.Errorf("got %v after %s, want deadline_exceeded after a second", fault, took)
		}
		if got := <-reader; got != nil {
			t.Errorf("the reader: got %v", got)
		}
	})
}

func TestReread_readsWhateverTheCacheHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"), secret("a"), secret("b"))
		first := must(t, source)

		same, sameFault := source.Reread(t.Context())
		other, otherFault := source.Reread(t.Context())
		held := must(t, source)

		if sameFault != nil || otherFault != nil || manager.count() != 3 {
			t.Fatalf("got %v, %v after %d reads", sameFault, otherFault, manager.count())
		}
		if same != first || other == first || held != other {
			t.Errorf("unchanged: same client %t; changed: another %t, which is kept: %t", same == first, other != first, held == other)
		}
	})
}

func TestReread_keepsTheCopyOnATransientFaultOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, manager, _ := given(secret("a"), noNetwork)
		first := must(t, source)

		_, transient := source.Reread(t.Context())
		kept := must(t, source)
		manager.plays(apiError("AccessDeniedException"))
		_, final := source.Reread(t.Context())
		_, after := source.Client(t.Context())

		if transient == nil || !transient.Retryable || kept != first {
			t.Errorf("transient: got %v, and the copy is kept: %t", transient, kept == first)
		}
		if final == nil || final.Retryable || after == nil {
			t.Errorf("final: got %v, then %v", final, after)
		}
	})
}

func TestClient_namesTheFieldThatCannotBeUsed(t *testing.T) {
	for document, want := range map[string]string{
		`{"base_url":"http://MARKER.example.com","client_id":"a","client_secret":"b"}`:                                      "base_url",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","ca_certificate":"MARKER"}`:                            "ca_certificate",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","client_key":"MARKER"}`:                                "client_key",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","auth_style":"MARKER"}`:                                "auth_style",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","enable_path":"/mysafe/password/{identifier}/MARKER"}`: "enable_path",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","disable_path":"/MARKER"}`:                             "disable_path",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","token_url":"http://MARKER"}`:                          "token_url",
		`{"base_url":"https://x","client_id":"a","client_secret":"b","referer":"MARK\u00e9R"}`:                              "referer",
		`{"client_id":"a","client_secret":"MARKER"}`:                                                                        "base_url",
		`{"base_url":"https://x","client_id":"","client_secret":"MARKER"}`:                                                  "client_id",
		`{"base_url":"https://x","client_id":"a","client_secret":null,"tenant":"MARKER"}`:                                   "client_secret",
		`{"base_url":"https://x","client_id":"a","client_secret":5,"tenant":"MARKER"}`:                                      "client_secret",
		`{"base_url":"https://x","client_id":"a","client_secret":"MARKER","client_secret":"MARKER"}`:                        "client_secret",
		`{"base_url":["https://MARKER"],"client_id":"a","client_secret":"b"}`:                                               "base_url",
		`["MARKER"]`: "JSON object",
	} {
		source, _, log := given(document)

		_, fault := source.Client(t.Context())

		if fault == nil || fault.Code != apisecret.CredentialsUnavailable || fault.Retryable || !strings.Contains(fault.Message, want) || strings.Contains(fault.Message+log.String(), "MARKER") {
			t.Errorf("%s: got %v, want credentials_unavailable that names %s and repeats no value; log: %s", document, fault, want, log)
		}
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

func TestClient_passesOnNothingThatTheSDKSays(t *testing.T) {
	source, _, log := given(errors.New("MARKER error of the SDK's"))

	_, fault := source.Client(t.Context())

	if fault == nil || fault.Retryable || strings.Contains(fault.Error()+log.String(), "MARKER") {
		t.Errorf("got %v and the log %s", fault, log)
	}
}

// Of the name of an error of AWS's, letters and digits are logged.
func TestClient_logsNothingOfAnErrorsNameThatIsNoName(t *testing.T) {
	source, _, log := given(apiError("Some\x1b[31m Thing\n{\"a\":1}" + strings.Repeat("x", 100)))

	_, fault := source.Client(t.Context())

	if want := `"aws_error":"Some31mThinga1` + strings.Repeat("x", 64-len("Some31mThinga1")) + `"`; fault == nil || !strings.Contains(log.String(), want) {
		t.Errorf("got %v and the log %s, want %s in it", fault, log, want)
	}
}

// The warning is of the document, though the credentials in it may be the same.
func TestReread_warnsOnceOfEachDocumentThatWasMended(t *testing.T) {
	marked := "\ufeff" + secret("a")
	source, _, log := given(secret("a"), marked, marked, secret("a"), marked, secret("b "), secret("b "), "\ufeff"+secret("b "))
	for read, want := range []string{"", `["document"]`, "", "", `["document"]`, `["client_secret"]`, "", `["document","client_secret"]`} {
		log.Reset()

		if _, fault := source.Reread(t.Context()); fault != nil {
			t.Fatal(fault)
		}

		got := log.String()
		if n := strings.Count(got, "\n"); want == "" && n != 0 || want != "" && (n != 1 || !strings.Contains(got, `"level":"WARN"`) || !strings.Contains(got, `"fields":`+want)) {
			t.Errorf("read %d: got %q, want the fields %s", read+1, got, want)
		}
	}
}

// Callers are sent to the log for the cause, whatever log level is configured.
func TestReread_logsAsAnErrorWhatNoRepetitionCures(t *testing.T) {
	for code, level := range map[string]string{
		"InvalidSignatureException": "ERROR", "AccessDeniedException": "ERROR", "ResourceNotFoundException": "ERROR", "ThrottlingException": "WARN",
	} {
		source, _, log := given(apiError(code))

		_, fault := source.Reread(t.Context())

		if fault == nil || !strings.Contains(log.String(), `"level":"`+level+`"`) || !strings.Contains(log.String(), `"aws_error":"`+code+`"`) {
			t.Errorf("%s: got %v, logged %s, want the level %s", code, fault, log.String(), level)
		}
	}
}
