package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
	"segura-enable/test/leaktest"
)

// alwaysExpired, as SEGURA_CREDENTIALS_TTL, is over before the next invocation
// begins, however quick the machine is.
const alwaysExpired = "1ns"

// setup says what a world is like. The zero value is the event function with
// everything in order.
type setup struct {
	function string             // api or event; empty: event
	segura   seguratest.Options // of its simulated Segura
	secret   map[string]any     // overrides of the AWS secret's fields; nil removes one

	env         map[string]string // added to the function's environment
	concurrency int               // invocations that one process is offered at once

	before    func(*world) // runs when everything but the function is up
	initFails bool         // the process is expected to end: see world.initError
	textLogs  bool         // AWS_LAMBDA_LOG_FORMAT is not JSON
}

// world is one running function with a Segura and a Secrets Manager of its own.
type world struct {
	t         *testing.T
	setup     setup
	stack     *stage.Stack
	segura    *seguratest.Server     // the stack's
	secrets   *secretsmanager.Server // the stack's
	function  *runtimeapi.Function
	initError *runtimeapi.InitError // where initFails was set

	mu          sync.Mutex
	invocations []runtimeapi.Invocation
	marked      map[string]string // values that must show nowhere, besides those that every world has
}

// start starts a world with credentials of its own. When the test ends, what holds of
// every world is checked: see world.check.
func start(t *testing.T, s setup) *world {
	t.Helper()
	if s.function == "" {
		s.function = event
	}
	if s.segura.ClientID == "" {
		s.segura.ClientID = randomText(36)
		s.segura.ClientSecret = randomText(20) + "+/=&% \"<" + randomText(24)
	}
	stack, err := stage.Start(t.Context(), stage.Options{Functions: []string{}, Bootstraps: bootstraps, Segura: s.segura})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	w := &world{t: t, setup: s, stack: stack, segura: stack.Segura, secrets: stack.Secrets, marked: map[string]string{}}
	w.mark(s.segura.ClientID, s.segura.ClientSecret, s.segura.Tenant)
	w.stack.PutSecret(s.secret)
	if s.before != nil {
		s.before(w)
	}
	w.startFunction()
	t.Cleanup(func() {
		_ = w.function.Close()
		w.check()
	})
	return w
}

// startFunction starts the function. Where nothing is arranged, init fetches a token
// ahead; a machine that is too slow to do so in the time there is tries again.
func (w *world) startFunction() {
	w.t.Helper()
	w.startProcess()
	for again := 0; again < 5 && w.setup.before == nil && w.setup.secret == nil && w.function.InitDuration() >= 2*time.Second; again++ {
		_ = w.function.Close()
		w.segura.Reset()
		w.secrets.Reset()
		w.stack.PutSecret(nil)
		w.startProcess()
	}
}

func (w *world) startProcess() {
	w.t.Helper()
	env := map[string]string{}
	if w.setup.textLogs {
		env["AWS_LAMBDA_LOG_FORMAT"] = unset
	}
	maps.Copy(env, w.setup.env)
	f, err := w.stack.StartFunction(context.Background(), w.setup.function, runtimeapi.Options{
		Env: env, Timeout: 5 * time.Minute, MaxConcurrency: w.setup.concurrency,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.function = f
	err = f.WaitReady(context.Background())
	if (err != nil) != w.setup.initFails || err != nil && !errors.As(err, &w.initError) {
		_ = f.Close()
		w.t.Fatalf("init: got %v, want it to fail: %t\n%s", err, w.setup.initFails, strings.Join(f.Logs(), "\n"))
	}
}

// randomText is found nowhere by chance.
func randomText(n int) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(b)
}

// answer is what came of an invocation, read.
type answer struct {
	stage.Answer
	runtimeapi.Invocation
}

// invoke invokes the function and reads what it answers with or fails with.
func (w *world) invoke(payload string, options ...runtimeapi.InvokeOption) answer {
	w.t.Helper()
	inv, err := w.function.Invoke(context.Background(), []byte(payload), options...)
	if err != nil {
		w.t.Errorf("invoke with %.200s: %v", payload, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.invocations = append(w.invocations, inv)
	a := answer{Invocation: inv}
	if a.Answer, err = stage.ReadAnswer(w.setup.function, inv); err != nil {
		w.t.Errorf("invoke with %.200s: got %v after %v", payload, err, inv.Duration)
	}
	if got := a.Header.Get("X-Request-Id"); a.Header != nil && got != inv.RequestID {
		w.t.Errorf("X-Request-Id of a %d: got %q, want %q", a.Status, got, inv.RequestID)
	}
	return a
}

// front makes the event of a request: stage.HTTPEvent or stage.RESTEvent.
type front = func(method, path, body string, header map[string]string) map[string]any

// http invokes the API function as API Gateway does.
func (w *world) http(f front, path, body string, options ...runtimeapi.InvokeOption) answer {
	w.t.Helper()
	return w.invoke(encoded(w.t, f("POST", path, body, nil)), options...)
}

// enable enables the identifiers by the event function, whose answer is a result.
func (w *world) enable(identifiers ...int64) answer {
	w.t.Helper()
	a := w.invoke(list(identifiers...))
	if a.Result == nil {
		w.t.Fatalf("enable %.200v: got no result but %s %.2000s", identifiers, a.Invocation.ErrorType, a.Text)
	}
	return a
}

// enables enables one identifier by the event function, and compares what came of it:
// its outcome, or its code and whether that may be retried, and the attempts.
func (w *world) enables(about string, identifier int64, want string) {
	w.t.Helper()
	item := w.enable(identifier).Result.Results[0]
	if got := written(item); got != want {
		w.t.Errorf("%s: identifier %d: got %q (%+v), want %q", about, identifier, got, item.Error, want)
	}
}

// written is an item for comparison: "enabled, attempts 1" or "not_found, attempts 1",
// and "rate_limited, retryable, attempts 4".
func written(i stage.Item) string {
	word := i.Outcome
	if i.Error != nil {
		word = i.Error.Code
		if i.Error.Retryable {
			word += ", retryable"
		}
	}
	return fmt.Sprintf("%s, attempts %d", word, i.Attempts)
}

// list is the document of a request.
func list(identifiers ...int64) string {
	var texts []string
	for _, identifier := range identifiers {
		texts = append(texts, strconv.FormatInt(identifier, 10))
	}
	return `{"identifiers":[` + strings.Join(texts, ",") + `]}`
}

// upTo is first, first+1 … last.
func upTo(first, last int64) []int64 {
	var all []int64
	for ; first <= last; first++ {
		all = append(all, first)
	}
	return all
}

// encoded is v as JSON; of a text, a JSON string.
func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventBridge is an event of a source, with the detail as it is written.
func eventBridge(source, detail string) string {
	return `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"Change Approved","source":"` + source +
		`","account":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1","resources":[],"detail":` + detail + `}`
}

// lines reads log lines and keeps those that are of a kind.
func lines(t *testing.T, texts []string, is func(stage.Line) bool) (kept []stage.Line) {
	t.Helper()
	for _, text := range texts {
		l, err := stage.ReadLine(text)
		if err != nil {
			t.Errorf("log line %.500q: %v", text, err)
		}
		if is(l) {
			kept = append(kept, l)
		}
	}
	return kept
}

// counts compares how often the three kinds of request were made since the
// last reset of the records.
func (w *world) counts(about string, tokens, calls, reads int) {
	w.t.Helper()
	const form = "%d token requests, %d calls, %d secret reads"
	got := fmt.Sprintf(form, w.segura.Count(seguratest.KindToken), w.segura.Count(seguratest.KindEnable), w.secrets.Reads())
	if want := fmt.Sprintf(form, tokens, calls, reads); got != want {
		w.t.Errorf("%s: got %s; want %s", about, got, want)
	}
}

// grace keeps Lambda from ending an invocation at its deadline. Where all waits are
// for ever, what answers has looked at the deadline by itself, and a slow machine
// may be late with it.
func grace() runtimeapi.InvokeOption { return runtimeapi.WithGrace(time.Minute) }

// check checks what holds of every world: the form of log lines, that no secret
// value shows anywhere, how Segura was called, and that Lambda never had to end
// an invocation.
func (w *world) check() {
	w.checkRequests()
	shown := leaktest.Find(w.said(), leaktest.WordPart, leaktest.Values(w.stack, w.setup.segura.ClientSecret))
	if shown = append(shown, leaktest.Find(w.said(), leaktest.ShortPart, w.marked)...); len(shown) > 0 {
		w.t.Errorf("shows:\n%s", strings.Join(shown[:min(5, len(shown))], "\n"))
	}
	for _, inv := range w.invocations {
		if inv.TimedOut {
			w.t.Errorf("invocation %s was ended by Lambda after %v", inv.RequestID, inv.Duration)
		}
		if inv.FunctionError && w.setup.function == api {
			w.t.Errorf("the API function ended in a function error: %s", inv.Payload)
		}
		if w.setup.textLogs {
			continue
		}
		for _, l := range lines(w.t, inv.Logs, func(l stage.Line) bool { return l.Text("requestId") != inv.RequestID }) {
			w.t.Errorf("log line %.500v of invocation %s has another id", l, inv.RequestID)
		}
	}
	logs := w.function.Logs()
	if !w.setup.textLogs {
		lines(w.t, logs, stage.Line.IsAudit)
	}
	if w.t.Failed() {
		w.t.Logf("the last lines of %s:\n%.3000s", stage.FunctionName(w.setup.function), strings.Join(logs[max(0, len(logs)-12):], "\n"))
	}
}

func (w *world) checkRequests() {
	for _, r := range w.segura.Requests() {
		if strings.Contains(strings.ToLower(r.Path), "/mysafe/password/") {
			w.t.Errorf("Segura got %s %s: the route of passwords", r.Method, r.Path)
		}
		if r.TLS.Version != 0 && r.TLS.Version < 0x0303 {
			w.t.Errorf("%s %s came over TLS %#x, want 1.2 or newer", r.Method, r.Path, r.TLS.Version)
		}
	}
}

// said is all that came out of the function.
func (w *world) said() string {
	var b strings.Builder
	for _, text := range w.function.Logs() {
		b.WriteString(text + "\n")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, inv := range w.invocations {
		fmt.Fprintf(&b, "%s\n%s\n%s\n%s\n", inv.Payload, inv.ErrorType, inv.ErrorMessage, inv.XRayCause)
	}
	if w.initError != nil {
		b.WriteString(w.initError.Message)
	}
	return b.String()
}

// mark names values that must show in no log, reply or error of this world.
func (w *world) mark(values ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, value := range values {
		w.marked[value] = "a marked value"
	}
}
