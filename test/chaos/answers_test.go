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
	Identifier                            int64
	Attempts                              int
	Outcome, Code, Action, Source, Reason string
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
		if _, twice := a.audit[one.Identifier]; twice || one.Action != a.request.action || one.Source != door || one.Reason != a.request.reason {
			return fmt.Errorf("got %+v (twice: %v), reason wanted %q", one, twice, a.request.reason)
		}
		a.audit[one.Identifier] = one
	}
	if got, want := slices.Sorted(maps.Keys(a.audit)), slices.Sorted(slices.Values(a.request.identifiers)); !slices.Equal(got, want) {
		return fmt.Errorf("got lines of %v, want of %v", got, want)
	}
	return nil
}

// read reads what came of an invocation and holds it against the request and the
// audit log.
func (a *answer) read(door string) (err error) {
	if a.said, err = stage.ReadAnswer(door, a.Invocation); err != nil {
		return err
	}
	s := a.said
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
	}
	return a.checkItems(door)
}

// expected is what the audit log has: the items in the order of the request, all and
// those that failed, and the document about them, without items.
func (a *answer) expected() (all, failed []string, d stage.Result) {
	changed, already := 0, 0
	d = stage.Result{Outcome: "partially_succeeded", Requested: len(a.request.identifiers), Enabled: &changed, AlreadyEnabled: &already}
	if a.request.action == "disable" {
		d.Enabled, d.AlreadyEnabled, d.Disabled, d.AlreadyDisabled = nil, nil, &changed, &already
	}
	for _, i := range a.request.identifiers {
		l := a.audit[i]
		if a.said.Problem != nil {
			l.Attempts = 0 // it does not tell them
		}
		text := fmt.Sprintln(i, l.Outcome, l.Code, l.Attempts)
		all = append(all, text)
		switch {
		case !l.succeeded():
			failed = append(failed, text)
			if d.Failed++; d.FailedByCode == nil {
				d.FailedByCode = map[string]int{}
			}
			d.FailedByCode[l.Code]++
		case strings.HasPrefix(l.Outcome, "already_"):
			already++
		default:
			changed++
		}
	}
	switch d.Failed {
	case 0:
		d.Outcome = "succeeded"
	case d.Requested:
		d.Outcome = "failed"
	}
	return all, failed, d
}

// checkItems: the items are in the order of the request and as the audit log has
// them, and those that are left out are counted, as all are.
func (a *answer) checkItems(door string) error {
	var got []string
	repeatable := false
	for _, one := range a.said.Items() {
		if one.Error == nil {
			one.Error = &stage.ItemError{}
		}
		repeatable = repeatable || one.Error.Retryable
		got = append(got, fmt.Sprintln(one.Identifier, one.Outcome, one.Error.Code, one.Attempts))
	}
	want, failed, document := a.expected()
	if d := a.said.Result; d != nil && d.Omitted != nil {
		succeeded := len(want) - len(failed)
		want = failed[:min(len(got), len(failed))]
		document.Omitted = &stage.Omitted{Succeeded: succeeded, Failed: len(failed) - len(want)}
	}
	errorType := map[bool]string{true: "Segura.TransientError", false: "Segura.PermanentError"}[repeatable]
	switch {
	case !slices.Equal(got, want):
		return fmt.Errorf("got the items\n%v\nthe audit log has\n%v", got, want)
	case door == api && (a.said.Status == 200) != (len(failed) == 0), door == event && (a.ErrorType == "") != (len(failed) == 0):
		return fmt.Errorf("got %d %q for %d failures", a.said.Status, a.ErrorType, len(failed))
	case a.ErrorType != "" && a.ErrorType != errorType && (document.Omitted == nil || document.Omitted.Failed == 0):
		return fmt.Errorf("got %q, and any failure is retryable: %v", a.ErrorType, repeatable)
	case a.said.Result == nil:
		return nil
	}
	counts := *a.said.Result
	counts.Results = nil
	if got, want := marshal(counts), marshal(document); got != want {
		return fmt.Errorf("got the counts %s, the audit log has %s", got, want)
	}
	return nil
}
