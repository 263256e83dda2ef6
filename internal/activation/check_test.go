package activation_test

import (
	"encoding/json"
	"fmt"
	"slices"
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
	w.Fail(seguratest.Match{Kind: seguratest.KindHead}, seguratest.HTML(503), 1) // any reply will do

	first, second := w.Runner.Check(t.Context(), nil), w.Runner.Check(t.Context(), nil)

	const want = "passed: credentials=passed connection=passed token=passed"
	if got := verdicts(first); got != want || verdicts(second) != want {
		t.Errorf("got %s, then %s, want %s", got, verdicts(second), want)
	}
	if _, rereads := w.Source.Counts(); rereads != 2 || w.Count(seguratest.KindHead) != 2 || w.Count(seguratest.KindToken) != 2 || w.Connections() < 2 || w.Count("") != 4 {
		t.Errorf("got the AWS secret read %d times, %d HEADs, %d token calls and %d connections, of %d requests; want 2 of each, and nothing else",
			rereads, w.Count(seguratest.KindHead), w.Count(seguratest.KindToken), w.Connections(), w.Count(""))
	}
}

func TestCheck_endsAtTheStepThatFails(t *testing.T) {
	t.Parallel()
	plays := func(kind seguratest.Kind, fault seguratest.Fault) func(world) {
		return func(w world) { w.Fail(seguratest.Match{Kind: kind}, fault, -1) }
	}
	lists := func(body string) func(world) { return plays(seguratest.KindList, seguratest.ReplyJSON(200, body)) }
	const (
		credentials = "failed: credentials=failed connection=skipped token=skipped access=skipped"
		connection  = "failed: credentials=passed connection=failed token=skipped access=skipped"
		token       = "failed: credentials=passed connection=passed token=failed access=skipped"
		access      = "failed: credentials=passed connection=passed token=passed access=failed"
	)
	for name, row := range map[string]struct {
		arrange func(world)
		want    string
		code    apisecret.Code
	}{
		"no secret":    {func(w world) { w.Source.Fault = apisecret.NewError(apisecret.CredentialsUnavailable, "x") }, credentials, apisecret.CredentialsUnavailable},
		"nobody there": {func(w world) { _ = w.RefuseConnections(seguratest.NotListening) }, connection, apisecret.UpstreamUnreachable},
		"no time":      {plays(seguratest.KindHead, seguratest.Hang()), connection, apisecret.DeadlineExceeded},
		"refused":      {func(w world) { w.RotateClientSecret("rotated") }, token, apisecret.AuthenticationFailed},
		"a web page":   {plays(seguratest.KindList, seguratest.HTML(200)), access, apisecret.UnexpectedResponse},
		"no list":      {lists(`{"code":200,"response":{"status":200}}`), access, apisecret.UnexpectedResponse},
		"another list": {lists(`{"api_secret_on_list":{"5":true}}`), access, apisecret.UnexpectedResponse},
		"a cut list":   {plays(seguratest.KindList, seguratest.CutShort()), access, apisecret.UpstreamInvalidResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seguratest.Options{})
			w.enable(t.Context(), 6)
			row.arrange(w)
			ctx := withDeadlineOf(t, 4*time.Second)

			result := w.Runner.Check(ctx, []apisecret.Identifier{5})

			if got := verdicts(result); got != row.want || result.Identifiers != nil || ctx.Err() != nil {
				t.Errorf("got %s of %v, want %s; the context is over: %t", got, result.Identifiers, row.want, ctx.Err() != nil)
			}
			for _, step := range result.Steps {
				if (step.Error != nil) != (step.Outcome == activation.Failed) || (step.DurationMS == nil) != (step.Outcome == activation.Skipped) || step.Error != nil && step.Error.Code != row.code {
					t.Errorf("got the step %+v, want %s", step, row.code)
				}
			}
		})
	}
}

func TestCheck_isWordedAsPromised(t *testing.T) {
	took := int64(12)
	result := activation.CheckResult{Check: activation.Failed, Steps: []activation.Step{
		{Name: "credentials", Outcome: activation.Passed, DurationMS: &took},
		{Name: "connection", Outcome: activation.Failed, DurationMS: new(int64), Error: apisecret.NewError(apisecret.UpstreamUnreachable, "sentence")},
		{Name: "token", Outcome: activation.Skipped},
	}}

	got := string(result.Document(1000, func(text []byte) int { return len(text) }))

	want := `{"check":"failed","steps":[{"name":"credentials","outcome":"passed","duration_ms":12},` +
		`{"name":"connection","outcome":"failed","duration_ms":0,"error":{"code":"upstream_unreachable","message":"sentence","retryable":true}},` +
		`{"name":"token","outcome":"skipped"}]}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What the access key may do with each identifier is in Segura's list of API secrets.
func TestCheck_tellsWhatTheAccessKeyMayDo(t *testing.T) {
	t.Parallel()
	many := map[int64]seguratest.APISecret{5: {}, 6: {Active: true}, 7: {Missing: true}, 8: {Forbidden: true}}
	for i := range int64(20_000) {
		many[1000+i] = seguratest.APISecret{}
	}
	const seesNone = "The access key sees no API secret. Check the permissions of its user; it may also be that all of them are disabled."
	for name, row := range map[string]struct {
		secrets     map[int64]seguratest.APISecret
		identifiers []apisecret.Identifier
		want        string // the step, how many API secrets are listed, the identifiers and the warning
	}{
		"both kinds":           {many, []apisecret.Identifier{6, 5, 7, 20_000}, "passed 20003 [{6 edit} {5 edit} {7 not_listed} {20000 edit}] "},
		"one is read only":     {many, []apisecret.Identifier{5, 8}, "failed 20003 [{5 edit} {8 read_only}] "},
		"a key that sees none": {map[int64]seguratest.APISecret{7: {Missing: true}}, []apisecret.Identifier{5}, "passed 0 [{5 not_listed}] " + seesNone},
	} {
		w := newWorld(t, seguratest.Options{APISecrets: row.secrets})

		result := w.Runner.Check(t.Context(), row.identifiers)

		step := result.Steps[len(result.Steps)-1]
		if step.Name != "access" || step.Listed == nil || w.Count(seguratest.KindList) != 1 || w.Count(seguratest.KindEnable) > 0 {
			t.Fatalf("%s: got %+v after %d lists", name, result, w.Count(seguratest.KindList))
		}
		if got := fmt.Sprintf("%s %d %v %s", step.Outcome, *step.Listed, result.Identifiers, step.Warning); got != row.want || step.Outcome != result.Check {
			t.Errorf("%s: got %s, want %s", name, got, row.want)
		}
		if (step.Error != nil && step.Error.Code == apisecret.AccessDenied) != (step.Outcome == activation.Failed) {
			t.Errorf("%s: got %v", name, step.Error)
		}
	}
}

// A document with many identifiers fits, and says how many were left out: those that
// may be edited first.
func TestCheckResult_fitsItsLimit(t *testing.T) {
	result := activation.CheckResult{Check: activation.Failed}
	for i := range 10_000 {
		access := []activation.Access{activation.Edit, activation.NotListed, activation.ReadOnly, activation.Edit}[i%4]
		result.Identifiers = append(result.Identifiers, activation.IdentifierAccess{Identifier: apisecret.Identifier(i + 1), Access: access})
	}
	for limit, least := range map[int]int{1 << 20: 10_000, 300_000: 5000, 30_000: 500, 500: 0} {
		text := result.Document(limit, func(text []byte) int { return len(text) })

		var got activation.CheckResult
		err := json.Unmarshal(text, &got)
		hasEdit := slices.ContainsFunc(got.Identifiers, func(i activation.IdentifierAccess) bool { return i.Access == activation.Edit })
		if err != nil || len(text) > limit || len(got.Identifiers)+got.Omitted != 10_000 || len(got.Identifiers) < least || hasEdit != (got.Omitted == 0) {
			t.Errorf("limit %d: got %d bytes with %d identifiers, %d omitted, %v", limit, len(text), len(got.Identifiers), got.Omitted, err)
		}
	}
}
