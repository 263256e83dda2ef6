package chaos

import (
	"encoding/base64"
	"fmt"
	"maps"
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
		if !a.TimedOut && !a.lost(x) {
			w.judgeForm(x, a)
		}
	}
	w.judgeTruth(x)
	w.judgeReach(x)
	w.judgeAttempts(x)
	w.judgeTokens(x)
	w.judgePeak(x)
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
	e := x.weather.with(w.lingering)
	if x.recovery || e.codes[l.Code] || l.Code == w.expected(x, l.Identifier) {
		return true // a recovery is judged as a whole
	}
	if x.lag > w.config.attemptTimeout/4 && slices.Contains([]string{unavailable, deadline, upstreamTimeout, unreachable, invalidResponse}, l.Code) {
		return true // a slow machine makes attempts time out, and connections with them
	}
	switch l.Code {
	case authentication:
		return e.confusing || e.revokes >= 2 || w.config.lifetime < time.Minute && len(e.codes) > 0
	case deadline, upstreamTimeout:
		return e.slow || x.weather.freeze > 0 || a.spent()
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

// writes are the calls of a round for one identifier and action.
func (x *round) writes() map[call][]seguratest.Request {
	all := map[call][]seguratest.Request{}
	for _, e := range x.entries {
		if e.Kind == seguratest.KindEnable || e.Kind == seguratest.KindDisable {
			key := call{e.Kind, e.Identifier}
			all[key] = append(all[key], e)
		}
	}
	return all
}

// judgeTruth: nothing is reported enabled or disabled that is not.
func (w *world) judgeTruth(x *round) {
	writes := x.writes()
	changes := map[call]int{}
	for _, a := range x.answers {
		for i, l := range a.audit {
			if !l.succeeded() {
				continue
			}
			key := call{a.request.kind(), i}
			opposite := call{seguratest.KindEnable, i}
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
func (w *world) said200(e seguratest.Request) bool {
	m := w.fate.mishapOf(e)
	return e.Status == 200 && (m == nil || m.is(honest))
}

// judgeReach: nothing is touched but what was asked for and is allowed.
func (w *world) judgeReach(x *round) {
	now := map[call]bool{}
	checks := 0
	for _, a := range x.answers {
		if a.request.check {
			checks++
		}
		for _, i := range a.request.identifiers {
			if w.config.isAllowed(i) {
				now[call{a.request.kind(), i}] = true
			}
		}
	}
	heads := 0
	for _, e := range x.entries {
		about := fmt.Sprintf("%s %s", e.Method, e.Path)
		switch key := (call{e.Kind, e.Identifier}); {
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
	}
	if heads > checks {
		w.report(x, nil, "a self-check sends one HEAD", "%d for %d checks", heads, checks)
	}
	for i, state := range x.after {
		kind := seguratest.KindDisable
		if state.Active {
			kind = seguratest.KindEnable
		}
		if state.Active != x.before[i].Active && !now[call{kind, i}] && !w.asked[call{kind, i}] {
			w.report(x, nil, "nothing is touched that was not asked for or is not allowed", "identifier %d became active = %v", i, state.Active)
		}
	}
}

// judgeAttempts: calls for one identifier stay within the attempts, and are those
// that are reported.
func (w *world) judgeAttempts(x *round) {
	most := w.config.maxAttempts + 2
	reported := map[call]int{}
	killed, hurried := false, false
	for _, a := range x.answers {
		killed = killed || a.TimedOut || a.lost(x)
		hurried = hurried || a.spent()
		for i, l := range a.audit {
			reported[call{a.request.kind(), i}] += l.Attempts
			if l.Attempts > most {
				w.report(x, a, "calls for one identifier never exceed the attempts", "identifier %d: %d attempts, want at most %d", i, l.Attempts, most)
			}
		}
	}
	if killed {
		return
	}
	writes := x.writes()
	for key, calls := range writes {
		n, known := reported[key]
		most := n
		if x.weather.with(w.lingering).wire || x.weather.freeze > 0 || x.lag > w.config.attemptTimeout/4 {
			most = 2 * n // a call on a connection that turns out closed is no attempt, and is repeated once; on a late machine, one may have idled for too long
		}
		if known && len(calls) > most { // or it is of an earlier invocation
			w.report(x, nil, "calls for one identifier never exceed the attempts", "%s %d: %d attempts reported, %d calls seen", key.kind, key.identifier, n, len(calls))
			return
		}
	}
	// Where connections suffer, or calls may be given up, what was sent and what was
	// seen may differ.
	if e := x.weather.with(w.lingering); e.wire || e.slow || x.weather.freeze > 0 || x.lag > w.config.attemptTimeout/4 || hurried {
		return
	}
	for key, n := range reported {
		if calls := len(writes[key]); calls != n {
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
	attempts, lifetime := w.config.maxAttempts, w.config.lifetime
	if x.weather.tokens.chance > 0 {
		lifetime = min(lifetime, time.Second) // some mishaps shorten it
	}
	tokens, reads, tries := 0, 0, len(x.answers)
	if x.restarted {
		tokens, reads, tries = 2*attempts, 2*3, tries+1
	}
	for _, a := range x.answers {
		expiries := int(a.Duration / (lifetime * 8 / 10))
		if x.weather.leap > 0 {
			expiries++
		}
		tokens += attempts * (2 + min(w.refusedTokens(x), mostRenewals) + expiries)
		reads += 3 * (2 + expiries)
	}
	got, refused := 0, map[string]int{} // by credentials
	for _, e := range x.entries {
		if e.Kind != seguratest.KindToken {
			continue
		}
		got++
		m, lost := w.fate.mishapOf(e), took(e) > w.config.attemptTimeout/2
		if !lost && (m == nil && e.Status == 401 || m != nil && !m.is(token) && slices.Equal(m.codes, []string{authentication})) {
			refused[e.Form.Get("client_secret")+e.Header.Get("Authorization")]++
		}
	}
	if x.weather.leap > w.config.lifetime && !w.oddTokens && got == 0 && len(x.writes()) > 0 {
		w.report(x, nil, "lifetimes are counted on the wall clock", "it leapt %v, and the token of %v was used still", x.weather.leap, w.config.lifetime)
	}
	if got > tokens || x.reads > reads {
		w.report(x, nil, "token requests and reads of the AWS secret stay within their bounds", "%d of at most %d, %d of at most %d", got, tokens, x.reads, reads)
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
	for _, e := range w.segura.Requests() {
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
		m := w.fate.mishapOf(e)
		if e.Kind != seguratest.KindToken && (m != nil && slices.Contains(m.codes, authentication) || m == nil && (e.Status == 401 || e.Status == 404 || w.politely)) {
			refused[e.Header.Get("Authorization")] = true
		}
	}
	return len(refused)
}

// judgePeak: never more calls in flight than SEGURA_MAX_CONCURRENCY. Calls that
// may have been given up are left out: Segura learns of that later. Where the
// machine is late by as much, that may be any of them.
func (w *world) judgePeak(x *round) {
	var calls []seguratest.Request
	for _, e := range x.entries {
		if (e.Kind == seguratest.KindEnable || e.Kind == seguratest.KindDisable) && e.Status != 0 && !w.fate.mishapOf(e).is(wire) && took(e) <= w.config.attemptTimeout*8/10 {
			calls = append(calls, e)
		}
	}
	peak := 0
	for _, e := range calls {
		flying := 0
		for _, other := range calls {
			if !other.Time.After(e.Time) && other.Ended.After(e.Time) {
				flying++
			}
		}
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
		if _, err := stage.ReadLine(text); err != nil {
			w.violated("each log line is JSON with Lambda's keys", "%.2000s: %v", text, err)
			break
		}
	}
	said := w.said.String() + strings.Join(logs, "\n")
	pieces := map[string]string{}
	for value, what := range w.secretValues() {
		if len(value) <= 2*pieceLength {
			if strings.Contains(said, value) {
				w.violated("no secret value shows anywhere", "%s shows: %q", what, value)
			}
			continue
		}
		for ; len(value) >= pieceLength; value = value[pieceLength:] {
			pieces[value[:pieceLength]] = what
		}
	}
	for at := range max(0, len(said)-pieceLength) {
		if what, shows := pieces[said[at:at+pieceLength]]; shows {
			w.violated("no secret value shows anywhere", "%s shows in …%s…", what, said[max(0, at-300):min(len(said), at+300)])
			break
		}
	}
	if n := trapped.Load(); n > 0 {
		w.violated("redirects are never followed", "%d connections came", n)
	}
	if n := len(w.segura.PasswordsEnabled()); n > 0 {
		w.violated("the route of passwords is never called", "%d are enabled", n)
	}
}

// pieceLength is how long a part of a secret value is that counts as one.
const pieceLength = 14

// secretValues are values that must show nowhere, and what they are.
func (w *world) secretValues() map[string]string {
	values := w.stack.Confidential()
	maps.Copy(values, map[string]string{
		runtimeapi.AccessKeyID:                 "the AWS access key id",
		w.config.segura.ClientID:               "the client_id",
		w.config.segura.Tenant:                 "the tenant",
		w.config.segura.Referer:                "the referer",
		w.wires.address:                        "the base_url",
		w.segura.Address():                     "Segura's address",
		"eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9": "a token's type",
		"Bearer ":                              "an authorization",
	})
	_, key := w.segura.ClientCertificate()
	values[strings.Split(key, "\n")[1]] = "the client_key"
	for _, secret := range w.all {
		values[secret] = "a client_secret"
		values[url.QueryEscape(secret)] = "a client_secret, escaped"
		values[base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(w.config.segura.ClientID)+":"+url.QueryEscape(secret)))] = "basic credentials"
	}
	delete(values, "")
	return values
}
