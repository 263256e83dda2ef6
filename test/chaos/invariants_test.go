package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
	"segura-enable/test/leaktest"
)

// judge holds a round against the invariants.
func (w *world) judge(x *round) {
	w.judgeProcess(x)
	for _, a := range x.answers {
		if !a.TimedOut {
			w.judgeForm(x, a)
		}
	}
	w.judgeTruth(x)
	w.judgeReach(x)
	w.judgeAttempts(x)
	w.judgeTokens(x)
	for _, a := range x.answers {
		for _, i := range a.request.identifiers {
			w.asked[call{a.request.kind(), i}] = true
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
		case late <= 0:
		case x.lag > (reserve(a.request)+late)/3:
			w.excuse("the reply to %v went out %v late, with the machine %v late", a.request.timeout, late, x.lag)
		default:
			w.report(x, a, "a reply always goes out before the deadline", "it was %v late", late)
		}
	}
	if code, exited := w.function.Exited(); exited {
		w.report(x, nil, "the process never ends by itself", "it ended with code %d", code)
	}
}

// judgeForm: what one answer looks like, and what the audit log has of it.
func (w *world) judgeForm(x *round, a *answer) {
	for _, text := range a.Logs {
		if l, err := stage.ReadLine(text); err != nil || l.Text("requestId") != a.RequestID {
			w.report(x, a, "each log line is JSON with Lambda's keys", "%.300s: %v", text, err)
			return
		}
	}
	if err := a.readAudit(w.config.door); err != nil {
		w.report(x, a, "each identifier leaves one audit line", "%v", err)
		return
	}
	for _, l := range a.audit {
		if allowed := w.config.isAllowed(l.Identifier); !allowed && (l.Code != notAllowed || l.Attempts != 0) {
			w.report(x, a, "nothing is sent for an identifier that is not allowed", "identifier %d: %+v", l.Identifier, l)
		} else if allowed && l.Code != "" && !w.explains(x, a, l) {
			w.report(x, a, "a failure has a cause", "identifier %d failed with %s, which nothing in this weather explains", l.Identifier, l.Code)
		}
	}
	if err := a.read(w.config.door); err != nil {
		w.report(x, a, "an answer has the documented form, is complete, in order, adds up, and says what the audit log says", "%v", err)
	}
}

// explains reports whether the failure has a cause that there was.
func (w *world) explains(x *round, a *answer, l auditLine) bool {
	switch {
	case x.recovery, slices.Contains(x.may.codes, l.Code), l.Code == w.expected(x, l.Identifier):
		return true // a recovery is judged as a whole
	case w.late(x) && slices.Contains([]string{unavailable, deadline, upstreamTimeout, unreachable, invalidResponse}, l.Code):
		return true
	}
	switch l.Code {
	case authentication:
		return x.may.is(confusing) || w.config.lifetime < time.Minute && len(x.may.codes) > 0
	case deadline, upstreamTimeout:
		return x.may.is(slow) || x.weather.freeze > 0 || a.spent()
	default:
		return false
	}
}

// took is how long Segura was busy with a request; for ever, if it still is.
func took(e seguratest.Request) time.Duration {
	if !e.Done {
		return time.Hour
	}
	return e.Ended.Sub(e.Time)
}

// calls are those of a round for one identifier and action.
func (x *round) calls() map[call][]seguratest.Request {
	all := map[call][]seguratest.Request{}
	for _, e := range x.entries {
		if key := (call{e.Kind, e.Identifier}); e.Kind == seguratest.KindEnable || e.Kind == seguratest.KindDisable {
			all[key] = append(all[key], e)
		}
	}
	return all
}

// judgeTruth: nothing is reported enabled or disabled that is not.
func (w *world) judgeTruth(x *round) {
	calls, changes := x.calls(), map[call]int{}
	// Answered faithfully, and with success.
	saidSo := func(e seguratest.Request) bool { return e.Status == 200 && w.fate.of(e).is(honest) }
	for _, a := range x.answers {
		key, opposite := call{kind: a.request.kind()}, call{kind: seguratest.KindEnable}
		wanted := key.kind == seguratest.KindEnable
		if wanted {
			opposite.kind = seguratest.KindDisable
		}
		for i, l := range a.audit {
			if !l.succeeded() {
				continue
			}
			key.identifier, opposite.identifier = i, i
			changed, alone := !strings.HasPrefix(l.Outcome, "already_"), len(calls[opposite]) == 0
			if changed {
				changes[key]++
			}
			broken := ""
			switch {
			case alone && x.after[i].Active != wanted:
				broken = "nothing is reported enabled or disabled that is not"
			case !slices.ContainsFunc(calls[key], saidSo):
				broken = "nothing is reported enabled or disabled without Segura's word"
			case alone && changed && (x.before[i].Active == wanted || changes[key] > 1):
				broken = "what was so before is reported as already so"
			case alone && !changed && x.before[i].Active != wanted && len(calls[key]) < 2:
				broken = "what was changed is reported as changed"
			default:
				continue
			}
			w.report(x, a, broken, "identifier %d: %+v; it was active before: %v, after: %v", i, l, x.before[i].Active, x.after[i].Active)
			return
		}
	}
}

// judgeReach: nothing is touched but what was asked for and is allowed.
func (w *world) judgeReach(x *round) {
	now := map[call]bool{}
	heads := 0 // that are left to the self-checks
	for _, a := range x.answers {
		if a.request.check {
			heads++
		}
		for _, i := range a.request.identifiers {
			now[call{a.request.kind(), i}] = w.config.isAllowed(i)
		}
	}
	for _, e := range x.entries {
		about := fmt.Sprintf("%s %s", e.Method, e.Path)
		switch key := (call{e.Kind, e.Identifier}); {
		case strings.Contains(strings.ToLower(e.Path), "/mysafe/password/"):
			w.report(x, nil, "the route of passwords is never called", "%s", about)
		case e.Kind == seguratest.KindHead && heads > 0:
			heads--
		case e.Kind == seguratest.KindToken || now[key]:
		case w.asked[key] && w.config.isAllowed(e.Identifier):
			// On its way when its invocation ended; it must have been there soon after.
			if late := e.Time.Sub(x.began); late > 300*time.Millisecond+x.lag {
				w.report(x, nil, "nothing is called after the reply", "%s came %v into the next invocation", about, late)
			}
		default:
			w.report(x, nil, "nothing is touched that was not asked for or is not allowed", "%s", about)
		}
	}
}

// judgeAttempts: calls for one identifier stay within the attempts, and are those
// that are reported.
func (w *world) judgeAttempts(x *round) {
	reported := map[call]int{}
	hurried := false
	for _, a := range x.answers {
		if a.TimedOut {
			return
		}
		hurried = hurried || a.spent()
		for i, l := range a.audit {
			reported[call{a.request.kind(), i}] += l.Attempts
			if most := w.config.maxAttempts + 2; l.Attempts > most {
				w.report(x, a, "calls for one identifier never exceed the attempts", "identifier %d: %d attempts, want at most %d", i, l.Attempts, most)
			}
		}
	}
	// A call on a connection that turns out closed is no attempt, and is repeated once;
	// on a late machine, one may have idled for too long.
	suffers := x.may.is(wire) || x.weather.freeze > 0 || w.late(x)
	calls := x.calls()
	for key, of := range calls {
		n, known := reported[key] // or it is of an earlier invocation
		if known && (len(of) > 2*n || !suffers && len(of) > n) {
			w.report(x, nil, "calls for one identifier never exceed the attempts", "%s %d: %d attempts reported, %d calls seen", key.kind, key.identifier, n, len(of))
			return
		}
	}
	for key, n := range reported {
		// Where calls may be given up, what was sent and what was seen may differ, too.
		if seen := len(calls[key]); seen != n && !suffers && !x.may.is(slow) && !hurried {
			w.report(x, nil, "attempts are the calls made", "%s %d: %d attempts reported, %d calls seen", key.kind, key.identifier, n, seen)
			return
		}
	}
}

// judgeTokens: token requests and reads of the AWS secret stay within bounds.
//
// A token is fetched where none is at hand, once more for each that is refused, 20 of
// them at most, and once for credentials that have changed; and again whenever it
// expires. The AWS secret is read where its copy has expired or there is none, whenever
// a new token is needed, and once more past its cache.
func (w *world) judgeTokens(x *round) {
	attempts, lifetime := w.config.maxAttempts, w.config.lifetime
	if x.weather.tokens.chance > 0 {
		lifetime = min(lifetime, time.Second) // some faults shorten it
	}
	tokens, reads, tries := 0, 0, len(x.answers)
	if tries == 0 {
		tokens, reads, tries = 2*attempts, 2*3, 1 // init
	}
	got, refusedTokens, refusedCredentials := 0, map[string]bool{}, map[string]int{}
	for _, e := range x.entries {
		f := w.fate.of(e)
		if e.Kind != seguratest.KindToken {
			if slices.Contains(f.codes, authentication) || f == &nothing && (e.Status == 401 || e.Status == 404 || x.may.is(confusing)) {
				refusedTokens[e.Header.Get("Authorization")] = true
			}
			continue
		}
		got++
		if f == &nothing && e.Status == 401 || !f.is(token) && slices.Equal(f.codes, []string{authentication}) {
			refusedCredentials[e.Form.Get("client_secret")+e.Header.Get("Authorization")]++
		}
	}
	for _, a := range x.answers {
		expiries := int(a.Duration / (lifetime * 8 / 10))
		tokens += attempts * (2 + min(len(refusedTokens), 20) + expiries)
		reads += 3 * (2 + expiries)
	}
	if got > tokens || x.reads > reads {
		w.report(x, nil, "token requests and reads of the AWS secret stay within their bounds", "%d of at most %d, %d of at most %d", got, tokens, x.reads, reads)
	}
	for _, n := range refusedCredentials {
		if n > tries && !x.may.is(wire|slow) && !w.late(x) { // or a refusal did not arrive
			w.report(x, nil, "refused credentials are not tried again within one invocation", "%d times in %d invocations", n, tries)
		}
	}
}

// checkLife checks what holds of a whole life.
func (w *world) checkLife() {
	logs := w.function.Logs()
	for _, text := range logs {
		if _, err := stage.ReadLine(text); err != nil {
			w.violated("each log line is JSON with Lambda's keys", "%.2000s: %v", text, err)
			break
		}
	}
	if shown := leaktest.Find(w.said.String()+strings.Join(logs, "\n"), leaktest.WordPart, w.secretValues()); len(shown) > 0 {
		w.violated("no secret value shows anywhere", "%s", shown[0])
	}
	if n := len(w.segura.PasswordsEnabled()); n > 0 {
		w.violated("the route of passwords is never called", "%d are enabled", n)
	}
}

// secretValues are values that must show nowhere, and what they are.
func (w *world) secretValues() map[string]string {
	values := leaktest.Values(w.stack, w.clientSecrets...)
	values[w.config.segura.Tenant] = "the tenant"
	values[w.config.segura.Referer] = "the referer"
	values[w.wires.address] = "the base_url"
	values[w.segura.Address()] = "Segura's address"
	values["Bearer "] = "an authorization"
	return values
}
