package activation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/strictjson"
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
	Listed     *int             `json:"listed,omitempty"`      // of the step access: how many API secrets the key sees
	Warning    string           `json:"warning,omitempty"`
	Error      *apisecret.Error `json:"error,omitempty"`
}

// Access is what the access key may do with an API secret.
type Access string

// The kinds of access. What is not listed may be disabled: nobody has said whether
// disabled ones are listed.
const (
	Edit      Access = "edit"
	ReadOnly  Access = "read_only"
	NotListed Access = "not_listed"
)

// IdentifierAccess is what the self-check found of one identifier.
type IdentifierAccess struct {
	Identifier apisecret.Identifier `json:"identifier"`
	Access     Access               `json:"access"`
}

// CheckResult is the outcome of a self-check.
type CheckResult struct {
	Check       Verdict            `json:"check"`
	Steps       []Step             `json:"steps"`
	Identifiers []IdentifierAccess `json:"identifiers,omitempty"`
	Omitted     int                `json:"omitted,omitempty"` // identifiers that did not fit
}

// Document returns the result as JSON text whose size, as measure finds it, is at
// most limit. Where the identifiers would not fit, those that may be edited are left
// out first, all of them, then others from the end.
func (c CheckResult) Document(limit int, measure func([]byte) int) []byte {
	text := strictjson.Encode(c)
	if measure(text) <= limit {
		return text
	}
	all := len(c.Identifiers)
	c.Identifiers = slices.DeleteFunc(slices.Clone(c.Identifiers), func(i IdentifierAccess) bool { return i.Access == Edit })
	for {
		c.Omitted = all - len(c.Identifiers)
		text = strictjson.Encode(c)
		if measure(text) <= limit || len(c.Identifiers) == 0 {
			return text
		}
		c.Identifiers = c.Identifiers[:len(c.Identifiers)*9/10]
	}
}

// Check reads the AWS secret, opens a new connection to Segura and obtains a token,
// each even if a cache would serve it, and finds out what the access key may do with
// the identifiers, if there are any. It enables and disables nothing.
func (r *Runner) Check(ctx context.Context, identifiers []apisecret.Identifier) CheckResult {
	work, cancel := Reserve(ctx, len(identifiers))
	defer cancel()
	var (
		client *segura.Client
		token  *segura.Token
		result = CheckResult{Check: Passed}
	)
	result.Do("credentials", func(*Step) (failure *apisecret.Error) { client, failure = r.Clients.Reread(work); return failure })
	result.Do("connection", func(*Step) *apisecret.Error { return client.Connect(work) })
	result.Do("token", func(*Step) (failure *apisecret.Error) { token, failure = client.FreshToken(work); return failure })
	if len(identifiers) == 0 {
		return result
	}
	result.Do("access", func(s *Step) *apisecret.Error {
		listed, failure := client.List(work, token)
		if failure == nil {
			result.Identifiers, failure = judgeAccess(s, listed, identifiers)
		}
		return failure
	})
	return result
}

// Do does one step more, or skips it behind one that failed.
func (c *CheckResult) Do(name string, do func(*Step) *apisecret.Error) {
	done := Step{Name: name, Outcome: Skipped}
	if c.Check == Passed {
		began := time.Now()
		done.Outcome, done.Error = Passed, do(&done)
		took := time.Since(began).Milliseconds()
		done.DurationMS = &took
	}
	if done.Error != nil {
		done.Outcome, c.Check = Failed, Failed
	}
	c.Steps = append(c.Steps, done)
}

// judgeAccess returns what the access key may do with each identifier, and the failure
// that it may only read some.
func judgeAccess(s *Step, listed map[apisecret.Identifier]bool, identifiers []apisecret.Identifier) ([]IdentifierAccess, *apisecret.Error) {
	n := len(listed)
	s.Listed = &n
	if n == 0 {
		s.Warning = "The access key sees no API secret. Check the permissions of its user; it may also be that all of them are disabled."
	}
	all := make([]IdentifierAccess, 0, len(identifiers))
	readOnly := 0
	for _, i := range identifiers {
		access := NotListed
		if canWrite, ok := listed[i]; ok && canWrite {
			access = Edit
		} else if ok {
			access = ReadOnly
			readOnly++
		}
		all = append(all, IdentifierAccess{i, access})
	}
	if readOnly > 0 {
		return all, apisecret.NewError(apisecret.AccessDenied, fmt.Sprintf("The access key may read %d of these API secrets and not edit them. Give its user permission to edit them.", readOnly))
	}
	return all, nil
}
