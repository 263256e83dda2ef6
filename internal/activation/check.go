package activation

import (
	"context"
	"encoding/json"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
)

// Verdict is how the self-check, or a step of it, ended.
type Verdict string

// The verdicts; only a step can be skipped.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Step is one step of the self-check.
type Step struct {
	Name       string           `json:"name"`
	Outcome    Verdict          `json:"outcome"`
	DurationMS *int64           `json:"duration_ms,omitempty"` // nil if skipped
	Error      *apisecret.Error `json:"error,omitempty"`
}

// CheckResult is the outcome of a self-check.
type CheckResult struct {
	Check Verdict `json:"check"`
	Steps []Step  `json:"steps"`
}

// Document returns the result as JSON text.
func (c CheckResult) Document() ([]byte, error) { return json.Marshal(c) }

// Check reads the AWS secret, opens a new connection to Segura and obtains a
// token, each even if a cache would serve it. It enables and disables nothing.
func (r *Runner) Check(ctx context.Context) CheckResult {
	work, cancel := reserve(ctx, 0)
	defer cancel()
	var client *segura.Client
	steps := []struct {
		name string
		do   func() *apisecret.Error
	}{
		{"credentials", func() (failure *apisecret.Error) { client, failure = r.Clients.Reread(work); return failure }},
		{"connection", func() *apisecret.Error { return client.Connect(work) }},
		{"token", func() *apisecret.Error { _, fault := client.FreshToken(work); return fault }},
	}
	result := CheckResult{Check: Passed}
	for _, step := range steps {
		if result.Check == Failed {
			result.Steps = append(result.Steps, Step{Name: step.name, Outcome: Skipped})
			continue
		}
		began := time.Now()
		done := Step{Name: step.name, Outcome: Passed, Error: step.do()}
		took := time.Since(began).Milliseconds()
		done.DurationMS = &took
		if done.Error != nil {
			done.Outcome, result.Check = Failed, Failed
		}
		result.Steps = append(result.Steps, done)
	}
	return result
}
