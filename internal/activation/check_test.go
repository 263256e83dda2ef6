package activation_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// verdicts are the outcomes of a check's steps, in their order.
func verdicts(c activation.CheckResult) string {
	words := []string{string(c.Check) + ":"}
	for _, step := range c.Steps {
		words = append(words, step.Name+"="+string(step.Outcome))
	}
	return strings.Join(words, " ")
}

func TestCheck_takesEachStepEvenIfTheCachesWouldServeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.enable(t.Context(), 6)
	w.Reset()

	first, second := w.runner.Check(t.Context()), w.runner.Check(t.Context())

	const want = "passed: credentials=passed connection=passed token=passed"
	if got := verdicts(first); got != want || verdicts(second) != want {
		t.Errorf("got %s, then %s, want %s", got, verdicts(second), want)
	}
	if _, rereads := w.vault.counts(); rereads != 2 || w.Count(seguratest.KindHead) != 2 || w.Count(seguratest.KindToken) != 2 || w.Connections() < 2 {
		t.Errorf("got the AWS secret read %d times, %d HEADs, %d token calls and %d connections; want 2 of each",
			rereads, w.Count(seguratest.KindHead), w.Count(seguratest.KindToken), w.Connections())
	}
	if got := w.Count("") - w.Count(seguratest.KindHead) - w.Count(seguratest.KindToken); got != 0 {
		t.Errorf("got %d other requests: a check enables and disables nothing", got)
	}
}

func TestCheck_endsAtTheStepThatFails(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		arrange func(*world)
		want    string
		code    apisecret.Code
	}{
		{
			"credentials", func(w *world) { w.vault.fault = apisecret.NewError(apisecret.CredentialsUnavailable, "sentence") },
			"failed: credentials=failed connection=skipped token=skipped", apisecret.CredentialsUnavailable,
		},
		{
			"connection", func(w *world) { _ = w.RefuseConnections(seguratest.NotListening) },
			"failed: credentials=passed connection=failed token=skipped", apisecret.UpstreamUnreachable,
		},
		{
			"token", func(w *world) { w.RotateClientSecret("rotated") },
			"failed: credentials=passed connection=passed token=failed", apisecret.AuthenticationFailed,
		},
	} {
		w := newWorld(t, seguratest.Options{})
		w.enable(t.Context(), 6)
		row.arrange(w)

		result := w.runner.Check(t.Context())

		if got := verdicts(result); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
		for _, step := range result.Steps {
			if (step.Error != nil) != (step.Outcome == activation.Failed) || (step.DurationMS == nil) != (step.Outcome == activation.Skipped) {
				t.Errorf("%s: got the step %+v", row.name, step)
			}
			if step.Error != nil && step.Error.Code != row.code {
				t.Errorf("%s: got %v, want %s", row.name, step.Error, row.code)
			}
		}
	}
}

func TestCheck_passesWithAnyReplyToTheConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(seguratest.Match{Kind: seguratest.KindHead}, seguratest.HTML(503), 1)

	if got := verdicts(w.runner.Check(t.Context())); !strings.HasPrefix(got, "passed:") {
		t.Errorf("got %s", got)
	}
}

func TestCheck_endsBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(seguratest.Match{Kind: seguratest.KindHead}, seguratest.Hang(), -1)
	ctx := withDeadlineOf(t, time.Second)

	result := w.runner.Check(ctx)

	if ctx.Err() != nil || result.Check != activation.Failed || result.Steps[1].Error == nil || result.Steps[1].Error.Code != apisecret.DeadlineExceeded {
		t.Errorf("got %s, %v; the context is over: %t", verdicts(result), result.Steps[1].Error, ctx.Err() != nil)
	}
}

func TestCheck_isWordedAsPromised(t *testing.T) {
	took := int64(12)
	result := activation.CheckResult{Check: activation.Failed, Steps: []activation.Step{
		{Name: "credentials", Outcome: activation.Passed, DurationMS: &took},
		{Name: "connection", Outcome: activation.Failed, DurationMS: new(int64), Error: apisecret.NewError(apisecret.UpstreamUnreachable, "sentence")},
		{Name: "token", Outcome: activation.Skipped},
	}}

	text, err := result.Document()

	want := `{"check":"failed","steps":[{"name":"credentials","outcome":"passed","duration_ms":12},` +
		`{"name":"connection","outcome":"failed","duration_ms":0,"error":{"code":"upstream_unreachable","message":"sentence","retryable":true}},` +
		`{"name":"token","outcome":"skipped"}]}`
	if err != nil || string(text) != want || !json.Valid(text) {
		t.Errorf("got %s and %v, want %s", text, err, want)
	}
}
