package chaos

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// judge holds a round against the invariants.
func (w *world) judge(x *round) {
	w.judgeProcess(x)
	for _, a := range x.answers {
		if a.TimedOut || a.lost(x) {
			continue
		}
		w.judgeForm(x, a)
	}
	w.judgeTruth(x)
	w.judgeReach(x)
	w.judgeAttempts(x)
	w.judgeTokens(x)
	w.judgePeak(x)
	for _, a := range x.answers {
		for _, i := range a.request.identifiers {
			w.asked[asked{a.request.kind(), i}] = true
		}
		for _, l := range a.audit {
			w.codes[l.Code]++
		}
	}
}

// reserve is what the function keeps back of its time so that the reply goes out.
// A busy machine may use up a part of that.
func reserve(q request) time.Duration {
	kept := min(500*time.Millisecond, q.timeout/2)
	return kept + min(time.Duration(len(q.identifiers))*300*time.Microsecond, (q.timeout-kept)*3/4)
}

// spent reports whether the time for work was used up, or nearly.
func (a *answer) spent() bool {
	return a.Duration > (a.request.timeout-reserve(a.request))*85/100
}

// judgeProcess: a reply always goes out before the deadline, and the process lives.
// One that is late has used up the reserve first, which only a machine explains
// that was late by a good part of it, too.
func (w *world) judgeProcess(x *round) {
	for _, a := range x.answers {
		late := a.Duration - a.request.timeout
		switch {
		case a.TimedOut:
			w.report(x, a, "a reply always goes out before the deadline", "%v after it there was none yet", grace)
		case late <= 0 || a.lost(x):
		case x.lag > (reserve(a.request)+late)/3:
			w.excuse("the reply to %v went out %v late, with the machine %v late", a.request.timeout, late, x.lag)
		default:
			w.report(x, a, "a reply always goes out before the deadline", "it was %v late", late)
		}
		if strings.HasPrefix(a.ErrorType, "Runtime.") && !a.lost(x) {
			w.report(x, a, "errorTypes are the documented ones", "got %q", a.ErrorType)
		}
	}
	if code, exited := w.function.Exited(); exited && !x.weather.killed {
		w.report(x, x.answers[0], "the process never ends by itself", "it ended with code %d", code)
	}
}

// lost reports whether the invocation ended with its process, which was killed.
func (a *answer) lost(x *round) bool {
	return x.weather.killed && strings.HasPrefix(a.ErrorType, "Runtime.")
}

// judgeForm: what one answer looks like, and what the audit log has of it.
func (w *world) judgeForm(x *round, a *answer) {
	if err := a.read(w.config.door); err != nil {
		w.report(x, a, "an answer has the documented form", "%v", err)
		return
	}
	if err := a.readAudit(); err != nil {
		w.report(x, a, "each identifier leaves one audit line", "%v", err)
		return
	}
	for _, text := range a.Logs {
		if err := checkLine(text, a.RequestID); err != nil {
			w.report(x, a, "each log line is JSON with Lambda's keys", "%.300s: %v", text, err)
			return
		}
	}
	if len(a.audit) != len(a.request.identifiers) {
		w.report(x, a, "each identifier leaves one audit line", "got %d lines for %d identifiers", len(a.audit), len(a.request.identifiers))
		return
	}
	for _, i := range a.request.identifiers {
		l, ok := a.audit[i]
		if !ok || l.Action != a.request.action || l.Source != w.config.door || l.Reason != a.request.reason {
			w.report(x, a, "each identifier leaves one audit line", "that of %d is %+v (found: %v), reason wanted %q", i, l, ok, a.request.reason)
			return
		}
		w.judgeFailure(x, a, l)
	}
	var err error
	switch {
	case a.result != nil:
		err = a.checkResult(w.config.door)
	case a.item != nil:
		err = a.checkItem(*a.item)
	case a.problem != nil && a.request.invalid == nil:
		err = a.checkProblem()
	case a.report != nil:
		err = a.checkReport()
	}
	if err != nil {
		w.report(x, a, "the answer is complete, in order, adds up, and says what the audit log says", "%v", err)
	}
}

// checkResult holds the document against the request and the audit log.
func (a *answer) checkResult(door string) error {
	d := a.result
	counts := map[string]int{}
	byCode := map[string]int{}
	for _, l := range a.audit {
		counts[l.Outcome]++
		if l.Code != "" {
			byCode[l.Code]++
		}
	}
	changed, unchanged, other := d.Enabled, d.AlreadyEnabled, []*int{d.Disabled, d.AlreadyDisabled}
	words := []string{"enabled", "already_enabled"}
	if a.request.action == "disable" {
		changed, unchanged, other = d.Disabled, d.AlreadyDisabled, []*int{d.Enabled, d.AlreadyEnabled}
		words = []string{"disabled", "already_disabled"}
	}
	if changed == nil || unchanged == nil || other[0] != nil || other[1] != nil {
		return fmt.Errorf("the counts are not those of %s", a.request.action)
	}
	if *changed != counts[words[0]] || *unchanged != counts[words[1]] || d.Failed != counts["failed"] || d.Requested != len(a.request.identifiers) ||
		*changed+*unchanged+d.Failed != d.Requested {
		return fmt.Errorf("counts %d + %d + %d of %d, in the audit log %v", *changed, *unchanged, d.Failed, d.Requested, counts)
	}
	if len(byCode) != len(d.FailedByCode) {
		return fmt.Errorf("failed_by_code %v, in the audit log %v", d.FailedByCode, byCode)
	}
	for code, n := range byCode {
		if d.FailedByCode[code] != n {
			return fmt.Errorf("failed_by_code %v, in the audit log %v", d.FailedByCode, byCode)
		}
	}
	outcome := "partially_succeeded"
	switch d.Failed {
	case 0:
		outcome = "succeeded"
	case d.Requested:
		outcome = "failed"
	}
	if d.Outcome != outcome {
		return fmt.Errorf("outcome %q, want %q", d.Outcome, outcome)
	}
	return a.checkItems(door)
}

func (a *answer) checkItems(door string) error {
	d := a.result
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
	left := stage.Omitted{}
	if d.Omitted != nil {
		left = *d.Omitted
		if left.Failed < 0 || left.Succeeded < 0 || left == (stage.Omitted{}) || left.Failed > 0 && succeeded > 0 {
			return fmt.Errorf("omitted is %+v with %d succeeded items shown", left, succeeded)
		}
	}
	if failed+left.Failed != d.Failed || succeeded+left.Succeeded != d.Requested-d.Failed {
		return fmt.Errorf("%d succeeded and %d failed items, omitted %+v, do not add up", succeeded, failed, left)
	}
	if door == event && d.Failed > 0 && left.Failed == 0 && repeatable != (a.ErrorType == "Segura.TransientError") {
		return fmt.Errorf("errorType %q, and any failure retryable: %v", a.ErrorType, repeatable)
	}
	return nil
}

// checkItem holds an item against its audit line.
func (a *answer) checkItem(one stage.Item) error {
	l := a.audit[one.Identifier]
	code := ""
	if one.Error != nil {
		code = one.Error.Code
	}
	if l.Identifier != one.Identifier || l.Outcome != one.Outcome || l.Attempts != one.Attempts || l.Code != code {
		return fmt.Errorf("item %+v (%+v) and audit line %+v differ", one, one.Error, l)
	}
	if (one.Outcome == "failed") != (one.Error != nil) {
		return fmt.Errorf("item %+v, error %+v", one, one.Error)
	}
	if e := one.Error; e != nil {
		if e.Message == "" {
			return fmt.Errorf("identifier %d: %s without a message", one.Identifier, e.Code)
		}
		return checkRetryable(one.Identifier, e.Code, e.Retryable)
	}
	return nil
}

func checkRetryable(i int64, code string, got bool) error {
	if want, fixed := worthRepeating[code]; fixed && got != want {
		return fmt.Errorf("identifier %d: %s, retryable %v", i, code, got)
	}
	return nil
}

// statuses over HTTP, by code; every other is 502.
var statuses = map[string]int{notFound: 404, accessDenied: 403, notAllowed: 403, rateLimited: 503, upstreamTimeout: 504, deadline: 504, unavailable: 500, internalError: 500}

func (a *answer) checkProblem() error {
	p := a.problem
	want := statuses[p.Code]
	if want == 0 {
		want = 502
	}
	i := a.request.identifiers[0]
	if a.status != want || p.Identifier != i || a.audit[i].Code != p.Code {
		return fmt.Errorf("problem %+v with status %d, want %d; audit line %+v", *p, a.status, want, a.audit[i])
	}
	return checkRetryable(i, p.Code, p.Retryable)
}

func (a *answer) checkReport() error {
	r := a.report
	if len(r.Steps) != 3 {
		return fmt.Errorf("%d steps", len(r.Steps))
	}
	failed := false
	for at, name := range []string{"credentials", "connection", "token"} {
		step := r.Steps[at]
		skipped := step.Outcome == "skipped"
		if step.Name != name || skipped != failed || skipped != (step.DurationMS == nil) || (step.Outcome == "failed") != (step.Error != nil) {
			return fmt.Errorf("step %+v", step)
		}
		failed = failed || step.Outcome == "failed"
	}
	if (r.Check == "failed") != failed || failed != a.FunctionError {
		return fmt.Errorf("check %q, a step failed: %v", r.Check, failed)
	}
	return nil
}

// judgeFailure: a failure has a cause that there was.
func (w *world) judgeFailure(x *round, a *answer, l auditLine) {
	allowed := w.config.isAllowed(l.Identifier)
	if !allowed && (l.Code != notAllowed || l.Attempts != 0) {
		w.report(x, a, "nothing is sent for an identifier that is not allowed", "identifier %d: %+v", l.Identifier, l)
		return
	}
	if l.Code == "" || !allowed {
		return
	}
	if !w.explains(x, a, l) {
		w.report(x, a, "a failure has a cause", "identifier %d failed with %s, which nothing in this weather explains", l.Identifier, l.Code)
	}
}

func (w *world) explains(x *round, a *answer, l auditLine) bool {
	o, before := &x.weather, &w.lingering
	if x.recovery {
		return true // judged as a whole
	}
	if o.codes[l.Code] || before.codes[l.Code] || l.Code == w.expected(x, l.Identifier) {
		return true
	}
	calm := len(o.codes) == 0 && len(before.codes) == 0
	if x.lag > w.config.attemptTimeout/4 && slices.Contains([]string{unavailable, deadline, upstreamTimeout, unreachable, invalidResponse}, l.Code) {
		return true // a slow machine makes attempts time out, and connections with them
	}
	switch l.Code {
	case authentication:
		return o.confusing || before.confusing || o.revokes+before.revokes >= 2 || w.config.lifetime < time.Minute && !calm
	case deadline, upstreamTimeout:
		return o.slow || before.slow || o.freeze > 0 || a.spent()
	default:
		return false
	}
}

// writes are the calls of a round for one identifier and action.
func (x *round) writes() map[asked][]entry {
	all := map[asked][]entry{}
	for _, e := range x.entries {
		if e.Kind == seguratest.KindEnable || e.Kind == seguratest.KindDisable {
			key := asked{e.Kind, e.Identifier}
			all[key] = append(all[key], e)
		}
	}
	return all
}

// judgeTruth: nothing is reported enabled or disabled that is not.
func (w *world) judgeTruth(x *round) {
	writes := x.writes()
	changes := map[asked]int{}
	for _, a := range x.answers {
		for i, l := range a.audit {
			if !l.succeeded() {
				continue
			}
			key := asked{a.request.kind(), i}
			opposite := asked{seguratest.KindEnable, i}
			if key.kind == seguratest.KindEnable {
				opposite.kind = seguratest.KindDisable
			}
			wanted := key.kind == seguratest.KindEnable
			if x.after[i].Active != wanted && len(writes[opposite]) == 0 {
				w.report(x, a, "nothing is reported enabled or disabled that is not", "identifier %d: %+v, and Segura has active = %v", i, l, x.after[i].Active)
				return
			}
			if !slices.ContainsFunc(writes[key], w.said200) {
				w.report(x, a, "nothing is reported enabled or disabled without Segura's word", "identifier %d: %+v, and Segura said no such thing", i, l)
				return
			}
			changed := !strings.HasPrefix(l.Outcome, "already_")
			if changed {
				changes[key]++
			}
			if len(writes[opposite]) > 0 {
				continue
			}
			if changed && x.before[i].Active == wanted || changes[key] > 1 {
				w.report(x, a, "what was so before is reported as already so", "identifier %d: %+v, and it was so before", i, l)
				return
			}
			if !changed && x.before[i].Active != wanted && len(writes[key]) < 2 {
				w.report(x, a, "what was changed is reported as changed", "identifier %d: %+v, and this one call changed it", i, l)
				return
			}
		}
	}
}

// said200 reports whether the call was answered faithfully, and with success.
func (w *world) said200(e entry) bool {
	if at := w.fate.mishapOf(e.Number); at >= 0 && !w.catalogue[at].honest {
		return false
	}
	return e.Status == 200
}

// judgeReach: nothing is touched but what was asked for and is allowed.
func (w *world) judgeReach(x *round) {
	now := map[asked]bool{}
	checks := 0
	for _, a := range x.answers {
		if a.request.check {
			checks++
		}
		for _, i := range a.request.identifiers {
			if w.config.isAllowed(i) {
				now[asked{a.request.kind(), i}] = true
			}
		}
	}
	heads := 0
	for _, e := range x.entries {
		about := fmt.Sprintf("%s %s", e.Method, e.Path)
		switch key := (asked{e.Kind, e.Identifier}); {
		case strings.Contains(strings.ToLower(e.Path), "/mysafe/password/"):
			w.report(x, nil, "the route of passwords is never called", "%s", about)
		case e.Kind == seguratest.KindHead:
			heads++
		case e.Kind == seguratest.KindToken || now[key]:
		case w.asked[key] && w.config.isAllowed(e.Identifier):
			// On its way when its invocation ended; it must have been there soon after.
			w.stale++
			if late := e.Time.Sub(x.began); late > 300*time.Millisecond+x.lag {
				w.report(x, nil, "nothing is called after the reply", "%s came %v into the next invocation", about, late)
			}
		default:
			w.report(x, nil, "nothing is touched that was not asked for or is not allowed", "%s", about)
		}
		if e.Query != "" || e.Method != "POST" && e.Kind != seguratest.KindHead || e.Header.Get("Accept") != "application/json" || e.TLS.Version < 0x0303 {
			w.report(x, nil, "requests look as they should", "%s, query %q, accept %q, TLS %#x", about, e.Query, e.Header.Get("Accept"), e.TLS.Version)
		}
	}
	if heads > checks {
		w.report(x, nil, "a self-check sends one HEAD", "%d for %d checks", heads, checks)
	}
	for i, state := range x.after {
		kind := seguratest.KindDisable
		if state.Active {
			kind = seguratest.KindEnable
		}
		if state.Active != x.before[i].Active && !now[asked{kind, i}] && !w.asked[asked{kind, i}] {
			w.report(x, nil, "nothing is touched that was not asked for or is not allowed", "identifier %d became active = %v", i, state.Active)
		}
	}
}

// rough reports whether connections suffer, or calls may be given up, so that what
// was sent and what was seen may differ.
func (w *world) rough(x *round) bool {
	o, before := &x.weather, &w.lingering
	return o.wire || o.slow || o.freeze > 0 || before.wire || before.stale || before.slow || x.lag > w.config.attemptTimeout/4
}

// judgeAttempts: calls for one identifier stay within the attempts, and are those
// that are reported.
func (w *world) judgeAttempts(x *round) {
	most := w.config.maxAttempts + 2
	reported := map[asked]int{}
	killed, hurried := false, false
	for _, a := range x.answers {
		killed = killed || a.TimedOut || a.lost(x)
		hurried = hurried || a.spent()
		for i, l := range a.audit {
			reported[asked{a.request.kind(), i}] += l.Attempts
			if l.Attempts > most {
				w.report(x, a, "calls for one identifier never exceed the attempts", "identifier %d: %d attempts, want at most %d", i, l.Attempts, most)
			}
		}
	}
	if killed {
		return
	}
	repeats := 0 // by the transport itself
	for _, e := range x.entries {
		if at := w.fate.mishapOf(e.Number); at >= 0 && w.catalogue[at].repeats {
			repeats++
		}
	}
	for key, calls := range x.writes() {
		n, known := reported[key]
		if !known {
			continue // of an earlier invocation
		}
		if len(calls) > n+repeats {
			w.report(x, nil, "calls for one identifier never exceed the attempts", "%s %d: %d attempts reported, %d calls seen", key.kind, key.identifier, n, len(calls))
			return
		}
	}
	if w.rough(x) || hurried {
		return
	}
	for key, n := range reported {
		if calls := len(x.writes()[key]); calls != n {
			w.report(x, nil, "attempts are the calls made", "%s %d: %d attempts reported, %d calls seen", key.kind, key.identifier, n, calls)
			return
		}
	}
}

// mostRenewals is how many refused tokens one invocation replaces, at most.
const mostRenewals = 20

// judgeTokens: token requests and reads of the AWS secret stay within bounds.
//
// A token is fetched where none is at hand, once more for each that is refused,
// and once for credentials that have changed; and again whenever it expires. The
// AWS secret is read where its copy has expired or there is none, whenever a new
// token is needed, and once more past its cache.
func (w *world) judgeTokens(x *round) {
	tokens, reads, tries := 0, 0, 0
	if x.restarted {
		tokens, reads, tries = 2*w.config.maxAttempts, 2*3, 1
	}
	for _, a := range x.answers {
		switch {
		case a.request.check:
			tokens, reads, tries = tokens+w.config.maxAttempts, reads+3, tries+1
		case a.request.invalid == nil:
			lifetime := w.config.lifetime
			if x.weather.tokens.chance > 0 {
				lifetime = min(lifetime, time.Second) // some mishaps shorten it
			}
			expiries := int(a.Duration / (lifetime * 8 / 10))
			if x.weather.leap > 0 {
				expiries++
			}
			tokens += w.config.maxAttempts * (2 + min(w.refusedTokens(x), mostRenewals) + expiries)
			reads += 3 * (2 + expiries)
			tries++
		}
	}
	refused := map[string]int{}
	got := 0
	for _, e := range x.entries {
		if e.Kind != seguratest.KindToken {
			continue
		}
		got++
		if e.ended.Sub(e.Time) > w.config.attemptTimeout/2 {
			continue // perhaps given up
		}
		at := w.fate.mishapOf(e.Number)
		if at < 0 && e.Status == 401 || at >= 0 && !w.catalogue[at].token && slices.Equal(w.catalogue[at].codes, []string{authentication}) {
			refused[e.Form.Get("client_secret")+e.Header.Get("Authorization")]++
		}
	}
	if old := x.weather.leap > w.config.lifetime && !w.oddTokens; old && got == 0 && len(x.writes()) > 0 {
		w.report(x, nil, "lifetimes are counted on the wall clock", "it leapt %v, and the token of %v was used still", x.weather.leap, w.config.lifetime)
	}
	if got > tokens {
		w.report(x, nil, "token requests stay within their bound", "%d, want at most %d", got, tokens)
	}
	if x.reads > reads {
		w.report(x, nil, "reads of the AWS secret stay within their bound", "%d, want at most %d", x.reads, reads)
	}
	for _, n := range refused {
		if lossy := x.weather.wire || w.lingering.wire || x.lag > w.config.attemptTimeout/2; n > tries && !lossy {
			w.report(x, nil, "refused credentials are not tried again within one invocation", "%d times in %d invocations", n, tries)
		}
	}
}

// judgeInit: what is fetched ahead stays within bounds, too, and nothing is called.
func (w *world) judgeInit(o *weather) {
	tokens, others := 0, 0
	for _, e := range w.ledger.since(0) {
		if e.Kind == seguratest.KindToken {
			tokens++
		} else {
			others++
		}
	}
	if tokens > 2*w.config.maxAttempts || w.secrets.Reads() > 2*3 || others > 0 {
		w.violated("init fetches a token and nothing else", "%d token requests, %d reads of the AWS secret, %d other requests in the weather %v",
			tokens, w.secrets.Reads(), others, o)
	}
}

// refusedTokens is how many tokens were refused in the round, at most.
func (w *world) refusedTokens(x *round) int {
	refused := map[string]bool{}
	for _, e := range x.entries {
		at := w.fate.mishapOf(e.Number)
		switch {
		case e.Kind == seguratest.KindToken:
		case at >= 0 && slices.Contains(w.catalogue[at].codes, authentication), at < 0 && (e.Status == 401 || e.Status == 404 || w.politely):
			refused[e.Header.Get("Authorization")] = true
		}
	}
	return len(refused)
}

// judgePeak: never more calls in flight than SEGURA_MAX_CONCURRENCY. Calls that
// may have been given up are left out: Segura learns of that later. Where the
// machine is late by as much, that may be any of them.
func (w *world) judgePeak(x *round) {
	type edge struct {
		at   time.Time
		step int
	}
	var edges []edge
	for _, calls := range x.writes() {
		for _, e := range calls {
			at := w.fate.mishapOf(e.Number)
			if e.Status == 0 || at >= 0 && w.catalogue[at].wire || e.ended.Sub(e.Time) > w.config.attemptTimeout*8/10 {
				continue
			}
			edges = append(edges, edge{e.Time, 1}, edge{e.ended, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.step - b.step
	})
	flying, peak := 0, 0
	for _, e := range edges {
		flying += e.step
		peak = max(peak, flying)
	}
	if most := w.config.concurrency * min(len(x.answers), w.config.atOnce); peak > most && !x.weather.wire && x.lag < w.config.attemptTimeout/2 {
		w.report(x, nil, "calls in flight stay within SEGURA_MAX_CONCURRENCY", "%d, want at most %d", peak, most)
	}
}

// checkLife checks what holds of a whole life.
func (w *world) checkLife() {
	logs := w.function.Logs()
	for _, text := range logs {
		if err := checkLine(text, ""); err != nil {
			w.violated("each log line is JSON with Lambda's keys", "%.2000s: %v", text, err)
			break
		}
	}
	said := []byte(w.said.String() + strings.Join(logs, "\n"))
	for name, value := range w.secretValues() {
		for _, part := range parts(value) {
			if at := bytes.Index(said, []byte(part)); at >= 0 {
				w.violated("no secret value shows anywhere", "%s shows (%q) in …%s…", name, part, said[max(0, at-300):min(len(said), at+300)])
				break
			}
		}
	}
	for _, one := range impostors {
		if n := one.server.Count(""); n > 0 {
			w.violated("nothing is said to a server whose certificate is no good", "%s got %d requests", one.name, n)
		}
	}
	if n := trap.visits.Load(); n > 0 {
		w.violated("redirects are never followed", "%d connections came", n)
	}
	if n := len(w.segura.PasswordsEnabled()); n > 0 {
		w.violated("the route of passwords is never called", "%d are enabled", n)
	}
}

// secretValues are values that must show nowhere, under what they are.
func (w *world) secretValues() map[string]string {
	values := map[string]string{
		"the AWS session token":     runtimeapi.SessionToken,
		"the AWS secret access key": runtimeapi.SecretAccessKey,
		"the AWS access key id":     runtimeapi.AccessKeyID,
		"the client_id":             w.config.segura.ClientID,
		"the tenant":                w.config.segura.Tenant,
		"the referer":               w.config.segura.Referer,
		"the base_url":              w.wires.address,
		"Segura's address":          w.segura.Address(),
		"Segura's name":             seguraName,
		"a token's type":            "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9",
		"an authorization":          "Bearer ",
	}
	if w.config.named { // the AWS secret has no addresses then
		delete(values, "the base_url")
		delete(values, "Segura's address")
	}
	_, key := w.segura.ClientCertificate()
	values["the client_key"] = strings.ReplaceAll(strings.Join(strings.Split(strings.TrimSpace(key), "\n")[1:3], ""), "\n", "")
	for n, secret := range w.all {
		values[fmt.Sprintf("client_secret %d", n)] = secret
		values[fmt.Sprintf("client_secret %d, escaped", n)] = url.QueryEscape(secret)
		values[fmt.Sprintf("basic credentials %d", n)] = base64.StdEncoding.EncodeToString([]byte(
			url.QueryEscape(w.config.segura.ClientID) + ":" + url.QueryEscape(secret)))
	}
	tokens := w.segura.Tokens()
	for n, token := range tokens {
		if n%(1+len(tokens)/20) == 0 {
			values[fmt.Sprintf("access token %d", n+1)] = token
		}
	}
	for name, value := range values {
		if value == "" {
			delete(values, name)
		}
	}
	return values
}

// partLength is how long a part of a secret value is that counts as one.
const partLength = 14

// parts are pieces of a value of which every longer part of it contains one.
func parts(value string) []string {
	if len(value) <= 2*partLength {
		return []string{value}
	}
	var all []string
	for at := 0; at+partLength <= len(value); at += partLength {
		all = append(all, value[at:at+partLength])
	}
	return all
}
