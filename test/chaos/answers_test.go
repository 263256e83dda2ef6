package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// answer is what came of an invocation, read.
type answer struct {
	runtimeapi.Invocation
	said    stage.Answer
	request request
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
	s, failed := a.said, slices.ContainsFunc(slices.Collect(maps.Values(a.audit)), func(l auditLine) bool { return !l.succeeded() })
	switch {
	case door == api && (a.FunctionError || s.Status == 0):
		return fmt.Errorf("the API function ended in a function error: %q", a.ErrorType)
	case a.FunctionError && len(a.Payload) > 32768:
		return fmt.Errorf("the function error has %d bytes, Step Functions would cut it", len(a.Payload))
	case a.request.invalid != 0:
		if a.ErrorType != "Segura.InvalidRequest" && (s.Status != a.request.invalid || s.Problem == nil || s.Problem.Code != "invalid_request") {
			return fmt.Errorf("got %d %q: %s; want %d or Segura.InvalidRequest", s.Status, a.ErrorType, s.Text, a.request.invalid)
		}
		return nil
	case a.request.check:
		if s.SelfCheck == nil || a.FunctionError != (s.SelfCheck.Check == "failed") || a.FunctionError != (a.ErrorType == "Segura.CheckFailed") {
			return fmt.Errorf("a self-check ended in %q: %s", a.ErrorType, s.Text)
		}
		return nil
	case door == api && (s.Status == 200) == failed, door == event && a.FunctionError != failed:
		return fmt.Errorf("got %d %q, and an identifier failed: %v", s.Status, a.ErrorType, failed)
	case a.FunctionError && a.ErrorType != "Segura.TransientError" && a.ErrorType != "Segura.PermanentError":
		return fmt.Errorf("got %q for a valid request", a.ErrorType)
	}
	return a.checkItems(door)
}

// checkItems: the items are in the order of the request and as the audit log has
// them, and those that are left out are counted.
func (a *answer) checkItems(door string) error {
	at, failed, repeatable := 0, 0, false
	items := a.said.Items()
	for _, one := range items {
		for at < len(a.request.identifiers) && a.request.identifiers[at] != one.Identifier {
			at++
		}
		if at == len(a.request.identifiers) {
			return fmt.Errorf("identifier %d is out of order or was not asked for", one.Identifier)
		}
		at++
		l := a.audit[one.Identifier]
		attempts := one.Attempts == l.Attempts || a.said.Problem != nil // which has none
		if got, want := one.String(), strings.TrimSpace(fmt.Sprint(l.Identifier, " ", l.Outcome, " ", l.Code)); got != want || !attempts {
			return fmt.Errorf("item %s after %d attempts, audit line %+v", got, one.Attempts, l)
		}
		if one.Error == nil {
			continue
		}
		failed++
		if a.said.Problem != nil {
			one.Error.Retryable = a.said.Problem.Retryable
		}
		repeatable = repeatable || one.Error.Retryable
		if want, fixed := worthRepeating[l.Code]; fixed && one.Error.Retryable != want {
			return fmt.Errorf("identifier %d: %s, retryable %v", one.Identifier, l.Code, one.Error.Retryable)
		}
	}
	left, err := a.checkCounts(len(items), failed)
	if err == nil && door == event && failed > 0 && left == 0 && repeatable != (a.ErrorType == "Segura.TransientError") {
		return fmt.Errorf("errorType %q, and any failure retryable: %v", a.ErrorType, repeatable)
	}
	return err
}

// checkCounts returns how many failures are left out of the answer.
func (a *answer) checkCounts(shown, failed int) (left int, err error) {
	d := a.said.Result
	if d == nil {
		if shown != 1 || len(a.request.identifiers) != 1 {
			return 0, fmt.Errorf("%d items for %d identifiers", shown, len(a.request.identifiers))
		}
		return 0, nil
	}
	counts, byCode := map[string]int{}, map[string]int{}
	for _, l := range a.audit {
		counts[l.Outcome]++
		if l.Code != "" {
			byCode[l.Code]++
		}
	}
	for word, n := range map[string]*int{"enabled": d.Enabled, "already_enabled": d.AlreadyEnabled, "disabled": d.Disabled, "already_disabled": d.AlreadyDisabled} {
		if ours := strings.HasSuffix(word, a.request.action+"d"); ours != (n != nil) || ours && *n != counts[word] {
			return 0, fmt.Errorf("the count of %s is not that of the audit log: %v", word, counts)
		}
	}
	var omitted stage.Omitted
	if d.Omitted != nil {
		omitted = *d.Omitted
	}
	if d.Requested != len(a.request.identifiers) || d.Failed != counts["failed"] || !maps.Equal(d.FailedByCode, byCode) ||
		failed+omitted.Failed != d.Failed || shown+omitted.Failed+omitted.Succeeded != d.Requested {
		return 0, fmt.Errorf("%d items, %d of them failed, in %+v, do not add up; in the audit log %v, %v", shown, failed, d, counts, byCode)
	}
	return omitted.Failed, nil
}
