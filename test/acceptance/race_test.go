package acceptance

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// Two invocations at once share one token fetch or one secret read. Neither may
// suffer from the other's deadline.

func TestWaiting_doesNotSufferFromTheDeadlineOfWhoeverFetches(t *testing.T) {
	t.Parallel()
	// What each arranges begins to hang when there is one request more of the kind
	// that is counted.
	table := map[string]func(w *world) (count func() int){
		"token": func(w *world) func() int {
			w.segura.RevokeTokens()
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Hang(), 1)
			return func() int { return w.segura.Count(seguratest.KindToken) }
		},
		"secret": func(w *world) func() int {
			w.secrets.Fail(secretsmanager.MarkedForDeletion, 1)
			w.one(1000)
			w.secrets.Fail(secretsmanager.Hang, 1)
			return w.secrets.Reads
		},
	}
	for name, with := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true}, concurrency: 2,
				env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired, "SEGURA_ATTEMPT_TIMEOUT": "30s"},
			})
			count := with(w)
			before := count()
			var group sync.WaitGroup
			group.Go(func() {
				inv := w.invoke(list("enable", 1001), runtimeapi.WithTimeout(2500*time.Millisecond), grace())
				if got := inv.result.Results; len(got) != 1 || got[0].Outcome != "failed" || !got[0].Error.Retryable {
					t.Errorf("the one in a hurry: got %s", inv.text)
				}
			})
			for count() == before {
				time.Sleep(time.Millisecond)
			}
			group.Go(func() { // its own attempt would end after 30 s
				inv := w.invoke(list("enable", 1002), runtimeapi.WithTimeout(20*time.Second))
				if got := inv.result.Results; len(got) != 1 || got[0].Outcome != "enabled" {
					t.Errorf("the one with time: got %s", inv.text)
				}
			})
			group.Wait()
		})
	}
}

func TestWaiting_endsWithOnesOwnDeadline(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true}, concurrency: 2,
		env: map[string]string{"SEGURA_ATTEMPT_TIMEOUT": "6s", "SEGURA_MAX_ATTEMPTS": "1"},
	})
	w.segura.RevokeTokens()
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Hang(), -1)
	var group sync.WaitGroup
	group.Go(func() { w.invoke(list("enable", 1001), runtimeapi.WithTimeout(15*time.Second)) })
	if err := w.segura.Await(t.Context(), seguratest.KindToken, 2); err != nil {
		t.Fatal(err)
	}
	group.Go(func() {
		inv := w.invoke(list("enable", 1002), runtimeapi.WithTimeout(2*time.Second), grace())
		if got := inv.result.Results; len(got) != 1 || got[0].Outcome != "failed" || got[0].Error.Code != "deadline_exceeded" {
			t.Errorf("the one in a hurry: got %s, want deadline_exceeded", inv.text)
		}
	})
	group.Wait()
}

func TestDeadline_doesNotHideWhatFailedBeforeAnyCall(t *testing.T) {
	t.Parallel()
	t.Run("the token endpoint", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{timeout: 4 * time.Second, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "50"}})
		w.segura.RevokeTokens()
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Gateway503(), -1)
		is(t, w.invoke(list("enable", 5), grace()).result.Results[0], "503 to the end", "failed", "upstream_error", true, 1)
	})
	t.Run("Secrets Manager", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{
			timeout: 4 * time.Second, env: map[string]string{"AWS_MAX_ATTEMPTS": "50"},
			before: func(w *world) { w.secrets.Fail(secretsmanager.InternalError, -1) },
		})
		is(t, w.invoke(list("enable", 5), grace()).result.Results[0], "500 to the end", "failed", "credentials_unavailable", true, 0)
	})
}

func TestRateLimit_ofAllIsWaitedOutByAll(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	w.one(1000)
	open := time.Now().Add(1500 * time.Millisecond)
	w.segura.Fail(seguratest.Match{
		Kind: seguratest.KindEnable,
		When: func(r seguratest.Request) bool { return r.Time.Before(open) },
	}, seguratest.Gateway429().WithHeader("Retry-After", "1"), -1)
	inv := w.enable(upTo(1001, 1100)...)
	if *inv.result.Enabled != 100 {
		t.Errorf("got %d enabled and %v failed, want all 100", *inv.result.Enabled, inv.result.FailedByCode)
	}
	if n := w.segura.Count(seguratest.KindEnable); n > 1+100+3*8 {
		t.Errorf("got %d calls, want that all wait when one is asked to", n)
	}
}

func TestHostileUpstream_quotesCredentialsInVain(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true, RequireClientCertificate: true, Tenant: "tenant-" + marker(t), Referer: "https://referer.example/" + marker(t)},
		env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "1", "AWS_LAMBDA_LOG_LEVEL": "TRACE"},
	})
	_, key := w.segura.ClientCertificate()
	identifier := int64(1000)
	for name, value := range map[string]string{
		"client_secret": w.segura.ClientSecret(), "client_id": w.segura.ClientID(), "token": w.segura.Tokens()[0],
		"authorization": "Bearer " + w.segura.Tokens()[0], "client_key": key, "half a token": w.segura.Tokens()[0][40:90],
	} {
		for _, pad := range []int{0, 480, 500, 505, 1000} {
			text := fmt.Sprintf("%0*d %s %s", pad, 0, name, value)
			for _, reply := range []seguratest.Fault{
				seguratest.Envelope(400, 400, text), seguratest.Gateway(500, text), seguratest.Reply(500, "text/plain", text+"\nrequest_id: "+text),
				seguratest.Empty(500).WithHeader("X-Kong-Request-Id", text[:min(len(text), 300)]),
				seguratest.EnvelopeException(200, 500, "x", 1234, text), seguratest.Redirect(302, "https://x.example/?"+name),
			} {
				identifier++
				w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: identifier}, reply, 1)
			}
		}
	}
	w.enable(upTo(1001, identifier)...)
	for _, reply := range []seguratest.Fault{
		seguratest.ReplyJSON(400, `{"error":"invalid_request","error_description":"bad `+w.segura.ClientSecret()+`"}`),
		seguratest.ReplyJSON(401, `{"error":"invalid_client","message":"`+w.segura.ClientID()+":"+w.segura.ClientSecret()+`"}`),
		seguratest.ReplyJSON(500, `{"message":"`+w.segura.ClientSecret()+`"}`),
		seguratest.TokenReply(`{"access_token":"{token}","token_type":"mac","message":"{token}"}`),
		seguratest.TokenWithLineBreaks(),
	} {
		w.segura.RevokeTokens()
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, reply, 2)
		w.enable(1)
		w.selfCheck()
		w.segura.ClearFaults()
	}
}

func TestSecretsManager_errorsShowNothingAtAnyLogLevel(t *testing.T) {
	t.Parallel()
	w := start(t, setup{noSecret: true, env: map[string]string{"AWS_MAX_ATTEMPTS": "1", "AWS_LAMBDA_LOG_LEVEL": "TRACE"}})
	for _, kind := range []secretsmanager.Fault{
		secretsmanager.SignatureMismatch, secretsmanager.ExpiredToken, secretsmanager.InvalidToken, secretsmanager.AccessDenied,
		secretsmanager.KeyAccessDenied, secretsmanager.Garbage, secretsmanager.CutShort, secretsmanager.NoValue,
	} {
		w.secrets.Fail(kind, 2)
		w.enable(5)
		w.selfCheck()
	}
}

func TestDebugging_ofTheGoRuntimeShowsNothing(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"GODEBUG": "http2debug=2"}, chatter: true})
	w.enable(5)
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.ResetStream(), 1)
	w.enable(6)
}
