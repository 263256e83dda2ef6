package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

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

// checkItems: the items are in the order of the request and as the audit log has
// them, and those that are left out are counted.
func (a *answer) checkItems(door string) error {
	var all, failed, got []string
	counts := map[string]int{}
	for _, i := range a.request.identifiers {
		l := a.audit[i]
		text := fmt.Sprintln(i, l.Outcome, l.Code, l.Attempts)
		if a.said.Problem != nil {
			text = fmt.Sprintln(i, l.Outcome, l.Code, 0) // it does not tell the attempts
		}
		all = append(all, text)
		counts[l.Outcome]++
		if !l.succeeded() {
			counts[l.Code]++
			failed = append(failed, text)
		}
	}
	repeatable := false
	for _, one := range a.said.Items() {
		if one.Error == nil {
			one.Error = &stage.ItemError{}
		} else if a.said.Problem != nil {
			one.Error.Retryable = a.said.Problem.Retryable
		}
		repeatable = repeatable || one.Error.Retryable
		got = append(got, fmt.Sprintln(one.Identifier, one.Outcome, one.Error.Code, one.Attempts))
	}
	want, omitted := all, stage.Omitted{}
	if d := a.said.Result; d != nil && d.Omitted != nil {
		want = failed[:min(len(got), len(failed))]
		omitted = stage.Omitted{Succeeded: len(all) - len(failed), Failed: len(failed) - len(want)}
	}
	switch {
	case !slices.Equal(got, want):
		return fmt.Errorf("got the items\n%v\nthe audit log has\n%v", got, want)
	case door == api && (a.said.Status == 200) != (len(failed) == 0), door == event && (a.ErrorType == "") != (len(failed) == 0):
		return fmt.Errorf("got %d %q for %d failures", a.said.Status, a.ErrorType, len(failed))
	case a.ErrorType != "" && omitted.Failed == 0 && a.ErrorType != map[bool]string{true: "Segura.TransientError", false: "Segura.PermanentError"}[repeatable]:
		return fmt.Errorf("got %q, and any failure is retryable: %v", a.ErrorType, repeatable)
	case a.said.Result == nil:
		return nil
	}
	return a.checkCounts(counts, omitted)
}

// checkCounts: the result counts what the audit log has, by outcome and by code.
func (a *answer) checkCounts(want map[string]int, omitted stage.Omitted) error {
	d := a.said.Result
	got := maps.Clone(d.FailedByCode)
	if got == nil {
		got = map[string]int{}
	}
	changed, already := d.Enabled, d.AlreadyEnabled
	if a.request.action == "disable" {
		changed, already = d.Disabled, d.AlreadyDisabled
	}
	if changed == nil || already == nil || d.Requested != len(a.audit) || d.Omitted != nil && *d.Omitted != omitted {
		return fmt.Errorf("got the counts %+v for %d identifiers, of which %+v have no room", d, len(a.audit), omitted)
	}
	got[a.request.action+"d"], got["already_"+a.request.action+"d"], got["failed"] = *changed, *already, d.Failed
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(got, want) {
		return fmt.Errorf("got the counts %v, the audit log has %v", got, want)
	}
	return nil
}
