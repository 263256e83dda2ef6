package activation_test

import (
	"encoding/json"
	"fmt"
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

	first, second := w.runner.Check(t.Context(), nil), w.runner.Check(t.Context(), nil)

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

		result := w.runner.Check(t.Context(), nil)

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

	if got := verdicts(w.runner.Check(t.Context(), nil)); !strings.HasPrefix(got, "passed:") {
		t.Errorf("got %s", got)
	}
}

func TestCheck_endsBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(seguratest.Match{Kind: seguratest.KindHead}, seguratest.Hang(), -1)
	ctx := withDeadlineOf(t, time.Second)

	result := w.runner.Check(ctx, nil)

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

	text := result.Document(1000, func(text []byte) int { return len(text) })

	want := `{"check":"failed","steps":[{"name":"credentials","outcome":"passed","duration_ms":12},` +
		`{"name":"connection","outcome":"failed","duration_ms":0,"error":{"code":"upstream_unreachable","message":"sentence","retryable":true}},` +
		`{"name":"token","outcome":"skipped"}]}`
	if string(text) != want || !json.Valid(text) {
		t.Errorf("got %s, want %s", text, want)
	}
}

// What the access key may do with each identifier is in Segura's list of API secrets.
func TestCheck_tellsWhatTheAccessKeyMayDo(t *testing.T) {
	many := map[int64]seguratest.APISecret{5: {}, 6: {Active: true}, 7: {Missing: true}, 8: {Forbidden: true}}
	for i := range int64(20_000) {
		many[1000+i] = seguratest.APISecret{}
	}
	for name, row := range map[string]struct {
		secrets     map[int64]seguratest.APISecret
		identifiers []apisecret.Identifier
		want        string // the step and the identifiers
	}{
		"both kinds":           {many, []apisecret.Identifier{6, 5, 7, 20_000}, `passed 20003 "" [{6 edit} {5 edit} {7 not_listed} {20000 edit}] `},
		"one is read only":     {many, []apisecret.Identifier{5, 8}, `failed 20003 "" [{5 edit} {8 read_only}] access_denied`},
		"a key that sees none": {map[int64]seguratest.APISecret{7: {Missing: true}}, []apisecret.Identifier{5}, `passed 0 "sees no API secret" [{5 not_listed}] `},
	} {
		w := newWorld(t, seguratest.Options{APISecrets: row.secrets})

		result := w.runner.Check(t.Context(), row.identifiers)

		step := result.Steps[len(result.Steps)-1]
		if step.Name != "access" || step.Listed == nil || len(result.Steps) != 4 || w.Count(seguratest.KindList) != 1 || w.Count(seguratest.KindEnable) > 0 {
			t.Fatalf("%s: got %+v after %d lists", name, result, w.Count(seguratest.KindList))
		}
		warning, code := "", ""
		if strings.Contains(step.Warning, "sees no API secret") {
			warning = "sees no API secret"
		}
		if step.Error != nil {
			code = string(step.Error.Code)
		}
		if got := fmt.Sprintf("%s %d %q %v %s", step.Outcome, *step.Listed, warning, result.Identifiers, code); got != row.want || step.Outcome != result.Check {
			t.Errorf("%s: got %s, want %s", name, got, row.want)
		}
	}
}

func TestCheck_failsWhereThereIsNoList(t *testing.T) {
	for name, fault := range map[string]seguratest.Fault{
		"no list in it": seguratest.ReplyJSON(200, `{"code":200,"response":{"status":200}}`), "a web page": seguratest.HTML(200), "no route": seguratest.GatewayNoRoute404(),
		"cut short": seguratest.CutShort(), "an error": seguratest.Unexpected500(), "a list of something else": seguratest.ReplyJSON(200, `{"api_secret_on_list":{"5":true}}`),
	} {
		w := newWorld(t, seguratest.Options{})
		w.Fail(seguratest.Match{Kind: seguratest.KindList}, fault, 1)

		result := w.runner.Check(t.Context(), []apisecret.Identifier{5})

		if step := result.Steps[3]; step.Outcome != activation.Failed || step.Error == nil || step.Error.Message == "" || result.Identifiers != nil {
			t.Errorf("%s: got %+v", name, result)
		}
	}
}

// A document with many identifiers fits, and says how many were left out.
func TestCheckResult_fitsItsLimit(t *testing.T) {
	result := activation.CheckResult{Check: activation.Failed}
	for i := range 10_000 {
		access := []activation.Access{activation.Edit, activation.NotListed, activation.ReadOnly, activation.Edit}[i%4]
		result.Identifiers = append(result.Identifiers, activation.IdentifierAccess{Identifier: apisecret.Identifier(i + 1), Access: access})
	}
	length := func(text []byte) int { return len(text) }
	for _, limit := range []int{1 << 20, 300_000, 30_000, 500} {
		text := result.Document(limit, length)

		var got activation.CheckResult
		if err := json.Unmarshal(text, &got); err != nil || len(text) > limit || len(got.Identifiers)+got.Omitted != 10_000 || limit >= 30_000 && len(got.Identifiers) < 500 {
			t.Errorf("limit %d: got %d bytes with %d identifiers, %d omitted, %v", limit, len(text), len(got.Identifiers), got.Omitted, err)
		}
	}
}
