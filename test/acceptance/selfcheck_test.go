package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

func TestSelfCheck_passes(t *testing.T) {
	t.Parallel()
	w := start(t, setup{})
	w.one(5)
	before := w.segura.Connections()
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindOther}, seguratest.Normally(), 1) // nothing else is asked

	report, inv := w.selfCheck()

	if inv.FunctionError || report.Check != "passed" {
		t.Errorf("got %s %s, want passed", inv.ErrorType, inv.Payload)
	}
	var names []string
	for _, step := range report.Steps {
		names = append(names, step.Name+" "+step.Outcome)
		if step.DurationMS == nil || *step.DurationMS < 0 || *step.DurationMS > 10_000 || step.Error != nil {
			t.Errorf("step %s: got %+v, want a duration and no error", step.Name, step)
		}
	}
	if got, want := strings.Join(names, ", "), "credentials passed, connection passed, token passed"; got != want {
		t.Errorf("got the steps %s, want %s", got, want)
	}
	w.counts("each is done though the caches would serve it", 2, 1, 2)
	heads := w.segura.Requests(seguratest.KindHead)
	if len(heads) != 1 || heads[0].Path != "/pam" && heads[0].Path != "/pam/" {
		t.Errorf("got %d HEAD requests, want one of base_url", len(heads))
	}
	for _, r := range w.segura.Requests()[:2] {
		if len(heads) == 1 && r.Connection == heads[0].Connection {
			t.Error("HEAD came over the connection that was open before, want a new one")
		}
	}
	if n := w.segura.Connections() - before; n < 1 || n > 2 {
		t.Errorf("got %d new connections, want one for the check, and perhaps one for the token", n)
	}
	if n := len(w.audit()); n != 1 {
		t.Errorf("got %d audit lines, want that of the one identifier before", n)
	}
	if w.segura.Count("") != 4 {
		t.Errorf("got %d requests, want a token and a call before, HEAD and a token now", w.segura.Count(""))
	}
}

// steps writes a report for comparison: each step's outcome and error code.
func steps(r stage.SelfCheck) string {
	var all []string
	for _, step := range r.Steps {
		text := step.Name + " " + step.Outcome
		if step.Error != nil {
			text += fmt.Sprintf(" (%s, retryable %v)", step.Error.Code, step.Error.Retryable)
		}
		all = append(all, text)
	}
	return r.Check + ": " + strings.Join(all, ", ")
}

func TestSelfCheck_aStepThatFailsSkipsTheRest(t *testing.T) {
	t.Parallel()
	table := []struct {
		about string
		with  func(w *world)
		want  string
	}{
		{"no AWS secret", func(w *world) { w.secrets.Delete(secretName) },
			"failed: credentials failed (credentials_unavailable, retryable false), connection skipped, token skipped"},
		{"Secrets Manager throttles", func(w *world) { w.secrets.Fail(secretsmanager.Throttling, -1) },
			"failed: credentials failed (credentials_unavailable, retryable true), connection skipped, token skipped"},
		{"an unusable AWS secret", func(w *world) { w.secrets.Put(secretName, `{"base_url":"http://x"}`) },
			"failed: credentials failed (credentials_unavailable, retryable false), connection skipped, token skipped"},
		{"Segura is down", func(w *world) { _ = w.segura.RefuseConnections(seguratest.NotListening) },
			"failed: credentials passed, connection failed (upstream_unreachable, retryable true), token skipped"},
		{"Segura is silent", func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) },
			"failed: credentials passed, connection failed (upstream_timeout, retryable true), token skipped"},
		{"the HEAD hangs", func(w *world) { w.segura.Fail(seguratest.Match{Kind: seguratest.KindHead}, seguratest.Hang(), -1) },
			"failed: credentials passed, connection failed (upstream_timeout, retryable true), token skipped"},
		{"the credentials are refused", func(w *world) { w.segura.RotateClientSecret("other " + marker(w.t)) },
			"failed: credentials passed, connection passed, token failed (authentication_failed, retryable false)"},
		{"the token endpoint fails", func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Unexpected500(), -1)
		}, "failed: credentials passed, connection passed, token failed (upstream_error, retryable true)"},
		{"the token endpoint answers nonsense", func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.HTML(200), -1)
		}, "failed: credentials passed, connection passed, token failed (unexpected_response, retryable false)"},
		{"the address is not allowed", func(w *world) {
			w.segura.Fail(seguratest.Match{}, seguratest.GatewayForbiddenIP403(), -1)
		}, "failed: credentials passed, connection passed, token failed (access_denied, retryable false)"},
	}
	for _, row := range table {
		t.Run(row.about, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{env: map[string]string{"SEGURA_ATTEMPT_TIMEOUT": "3s", "SEGURA_MAX_ATTEMPTS": "2", "AWS_MAX_ATTEMPTS": "2"}})
			row.with(w)

			report, inv := w.selfCheck()

			if got := steps(report); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			if inv.ErrorType != "Segura.CheckFailed" {
				t.Errorf("got errorType %q, want Segura.CheckFailed", inv.ErrorType)
			}
			for _, step := range report.Steps {
				if step.Outcome == "failed" && (step.Error == nil || step.Error.Message == "" || step.DurationMS == nil) {
					t.Errorf("step %s: got %+v, want an error with a message, and a duration", step.Name, step)
				}
			}
			if n := w.segura.Count(seguratest.KindEnable) + w.segura.Count(seguratest.KindDisable); n != 0 {
				t.Errorf("got %d calls, want none", n)
			}
		})
	}
}

func TestSelfCheck_aRejectedCertificateFailsTheConnection(t *testing.T) {
	t.Parallel()
	const want = "failed: credentials passed, connection failed (upstream_unreachable, retryable false), token skipped"
	t.Run("theirs", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{segura: seguratest.Options{TLS: seguratest.TLSOptions{Certificate: seguratest.CertificateExpired}}})
		if report, _ := w.selfCheck(); steps(report) != want {
			t.Errorf("got %s, want %s", steps(report), want)
		}
	})
	t.Run("ours", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{
			segura: seguratest.Options{RequireClientCertificate: true},
			secret: map[string]any{"client_certificate": nil, "client_key": nil},
		})
		if report, _ := w.selfCheck(); steps(report) != want {
			t.Errorf("got %s, want %s", steps(report), want)
		}
	})
	t.Run("neither", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{segura: seguratest.Options{RequireClientCertificate: true}})
		if report, _ := w.selfCheck(); report.Check != "passed" {
			t.Errorf("got %s, want passed", steps(report))
		}
	})
}

func TestSelfCheck_endsBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]func(w *world){
		"Secrets Manager hangs": func(w *world) { w.secrets.Fail(secretsmanager.Hang, -1) },
		"Segura is silent":      func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) },
		"the token call hangs":  func(w *world) { w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Hang(), -1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{timeout: 2 * time.Second})
			with(w)
			report, inv := w.selfCheck(grace())
			if report.Check != "failed" || inv.ErrorType != "Segura.CheckFailed" {
				t.Errorf("got %s, %s", steps(report), inv.ErrorType)
			}
		})
	}
}

func TestSelfCheck_readsAChangedSecret(t *testing.T) {
	t.Parallel()
	w := start(t, setup{before: func(w *world) { w.segura.RotateClientSecret("rotated-" + marker(w.t)) }})
	if report, _ := w.selfCheck(); report.Check != "failed" {
		t.Errorf("got %s, want failed: the secret is the old one", steps(report))
	}
	w.putSecret(nil)
	if report, _ := w.selfCheck(); report.Check != "passed" {
		t.Errorf("got %s, want passed: the secret was rotated", steps(report))
	}
	is(t, w.one(5), "after the check", "enabled", "", false, 1)
}
