package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// answer is what came of an invocation, read.
type answer struct {
	runtimeapi.Invocation
	said    stage.Answer
	request request
	began   time.Time
	ended   time.Time
	audit   map[int64]auditLine
}

// auditLine is what the audit log has of one identifier.
type auditLine struct {
	Identifier int64
	Outcome    string
	Attempts   int
	Code       string
	Action     string
	Source     string
	Reason     string
}

func (l auditLine) succeeded() bool { return l.Code == "" && l.Outcome != "failed" }

// readAudit reads the audit lines of the invocation: one for each identifier.
func (a *answer) readAudit(door string) error {
	a.audit = map[int64]auditLine{}
	for _, text := range a.Logs {
		if l, err := stage.ReadLine(text); err != nil || !l.IsAudit() {
			continue
		}
		var one auditLine
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return fmt.Errorf("audit line %.300s: %w", text, err)
		}
		if _, twice := a.audit[one.Identifier]; twice {
			return fmt.Errorf("identifier %d has two audit lines", one.Identifier)
		}
		a.audit[one.Identifier] = one
	}
	for _, i := range a.request.identifiers {
		if l, ok := a.audit[i]; !ok || l.Action != a.request.action || l.Source != door || l.Reason != a.request.reason {
			return fmt.Errorf("that of %d is %+v (found: %v), reason wanted %q", i, l, ok, a.request.reason)
		}
	}
	if len(a.audit) != len(a.request.identifiers) {
		return fmt.Errorf("got %d lines for %d identifiers", len(a.audit), len(a.request.identifiers))
	}
	return nil
}

// read reads what came of an invocation and holds it against the request and the
// audit log.
func (a *answer) read(door string) (err error) {
	if a.said, err = stage.ReadAnswer(door, a.Invocation); err != nil {
		return err
	}
	if door == api {
		return a.checkHTTP()
	}
	switch s := a.said; {
	case len(a.Payload) > 32768 && a.FunctionError:
		return fmt.Errorf("the function error has %d bytes, Step Functions would cut it", len(a.Payload))
	case a.request.invalid != 0:
		if a.ErrorType != "Segura.InvalidRequest" {
			return fmt.Errorf("got %q, want Segura.InvalidRequest", a.ErrorType)
		}
		return nil
	case a.request.check:
		if s.SelfCheck == nil || a.FunctionError != (s.SelfCheck.Check == "failed") || a.FunctionError != (a.ErrorType == "Segura.CheckFailed") {
			return fmt.Errorf("a self-check ended in %q: %s", a.ErrorType, s.Text)
		}
		return nil
	case s.Result == nil || a.FunctionError != (s.Result.Failed > 0):
		return fmt.Errorf("the function error is %q, and the result is %s", a.ErrorType, s.Text)
	case a.FunctionError && a.ErrorType != "Segura.TransientError" && a.ErrorType != "Segura.PermanentError":
		return fmt.Errorf("got %q for a valid request", a.ErrorType)
	}
	return a.checkResult(door)
}

// statuses over HTTP, by code; every other is 502.
var statuses = map[string]int{notFound: 404, accessDenied: 403, notAllowed: 403, rateLimited: 503, upstreamTimeout: 504, deadline: 504, unavailable: 500, internalError: 500}

func (a *answer) checkHTTP() error {
	s, problem := a.said, stage.Problem{}
	if s.Problem != nil {
		problem = *s.Problem
	}
	switch {
	case a.FunctionError:
		return fmt.Errorf("the API function ended in a function error: %s", a.ErrorType)
	case a.request.invalid != 0:
		if s.Status != a.request.invalid || problem.Code != "invalid_request" {
			return fmt.Errorf("got a %d, %q; want %d, invalid_request", s.Status, problem.Code, a.request.invalid)
		}
		return nil
	case a.request.single && s.Problem != nil:
		i := a.request.identifiers[0]
		want := statuses[problem.Code]
		if want == 0 {
			want = 502
		}
		if s.Status != want || problem.Identifier != i || a.audit[i].Code != problem.Code {
			return fmt.Errorf("problem %+v with status %d, want %d; audit line %+v", problem, s.Status, want, a.audit[i])
		}
		return checkRetryable(i, problem.Code, problem.Retryable)
	case a.request.single && s.Item != nil && s.Status == 200:
		return a.checkItem(*s.Item)
	case a.request.single || s.Result == nil || s.Status != 200 && s.Status != 207 || (s.Status == 200) != (s.Result.Failed == 0):
		return fmt.Errorf("the status is %d, and the document is %s", s.Status, s.Text)
	}
	return a.checkResult(api)
}

// checkResult holds the document against the request and the audit log.
func (a *answer) checkResult(door string) error {
	d := a.said.Result
	counts, byCode := map[string]int{}, map[string]int{}
	for _, l := range a.audit {
		counts[l.Outcome]++
		if l.Code != "" {
			byCode[l.Code]++
		}
	}
	for word, n := range map[string]*int{"enabled": d.Enabled, "already_enabled": d.AlreadyEnabled, "disabled": d.Disabled, "already_disabled": d.AlreadyDisabled} {
		if ours := strings.HasSuffix(word, a.request.action+"d"); ours != (n != nil) || ours && *n != counts[word] {
			return fmt.Errorf("the count of %s is not that of the audit log: %v", word, counts)
		}
	}
	if d.Requested != len(a.request.identifiers) || d.Failed != counts["failed"] || !maps.Equal(d.FailedByCode, byCode) {
		return fmt.Errorf("%d failed of %d, %v; in the audit log %v, %v", d.Failed, d.Requested, d.FailedByCode, counts, byCode)
	}
	return a.checkItems(door)
}

// checkItems: the items are in the order of the request, none is invented, and those
// that are left out are counted.
func (a *answer) checkItems(door string) error {
	d := a.said.Result
	at, succeeded, failed, repeatable := 0, 0, 0, false
	for _, one := range d.Results {
		for at < len(a.request.identifiers) && a.request.identifiers[at] != one.Identifier {
			at++
		}
		if at == len(a.request.identifiers) {
			return fmt.Errorf("identifier %d is out of order or was not asked for", one.Identifier)
		}
		at++
		if err := a.checkItem(one); err != nil {
			return err
		}
		if one.Error == nil {
			succeeded++
		} else {
			failed++
			repeatable = repeatable || one.Error.Retryable
		}
	}
	var left stage.Omitted
	if d.Omitted != nil {
		left = *d.Omitted
	}
	if failed+left.Failed != d.Failed || succeeded+left.Succeeded != d.Requested-d.Failed || left.Failed > 0 && succeeded > 0 {
		return fmt.Errorf("%d succeeded and %d failed items, omitted %+v, do not add up", succeeded, failed, left)
	}
	if door == event && d.Failed > 0 && left.Failed == 0 && repeatable != (a.ErrorType == "Segura.TransientError") {
		return fmt.Errorf("errorType %q, and any failure retryable: %v", a.ErrorType, repeatable)
	}
	return nil
}

// checkItem holds an item against its audit line.
func (a *answer) checkItem(one stage.Item) error {
	l, code := a.audit[one.Identifier], ""
	if one.Error != nil {
		code = one.Error.Code
	}
	if l.Identifier != one.Identifier || l.Outcome != one.Outcome || l.Attempts != one.Attempts || l.Code != code || (one.Outcome == "failed") != (code != "") {
		return fmt.Errorf("item %+v (%+v) and audit line %+v differ", one, one.Error, l)
	}
	if one.Error == nil {
		return nil
	}
	return checkRetryable(one.Identifier, code, one.Error.Retryable)
}

func checkRetryable(i int64, code string, got bool) error {
	if want, fixed := worthRepeating[code]; fixed && got != want {
		return fmt.Errorf("identifier %d: %s, retryable %v", i, code, got)
	}
	return nil
}
