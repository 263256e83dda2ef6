package acceptance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
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
	noSecret bool               // no AWS secret at all

	env         map[string]string // added to the function's environment
	timeout     time.Duration     // of the function; zero: a minute
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
	marked      []string // values that must show nowhere, besides those that every world has
}

// start starts a world. When the test ends, what holds of every world is
// checked: see world.check.
func start(t *testing.T, s setup) *world {
	t.Helper()
	if s.function == "" {
		s.function = event
	}
	if s.timeout == 0 {
		s.timeout = time.Minute
	}
	if s.segura.ClientID == "" {
		s.segura.ClientID = "client-id-" + marker(t)
	}
	if s.segura.ClientSecret == "" {
		s.segura.ClientSecret = "client-secret-" + marker(t)
	}
	stack, err := stage.Start(context.Background(), stage.Options{
		Functions: []string{}, Bootstraps: bootstraps, Segura: s.segura,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	w := &world{t: t, setup: s, stack: stack, segura: stack.Segura, secrets: stack.Secrets}
	if s.noSecret {
		w.secrets.Delete(secretName)
	} else {
		w.putSecret(s.secret)
	}
	if s.before != nil {
		s.before(w)
	}
	w.startFunction()
	return w
}

// putSecret writes the AWS secret for the simulated Segura as it is now.
func (w *world) putSecret(overrides map[string]any) { w.stack.PutSecret(overrides) }

// startFunction starts the function. Where nothing is arranged, init fetches a token
// ahead; a machine that is too slow to do so in the time there is tries again.
func (w *world) startFunction() {
	w.t.Helper()
	w.startProcess()
	for range 5 {
		tooSlow := w.function.InitDuration() >= 2*time.Second
		if !tooSlow || w.setup.before != nil || w.setup.noSecret || w.setup.secret != nil {
			break
		}
		_ = w.function.Close()
		w.segura.Reset()
		w.secrets.Reset()
		w.putSecret(nil)
		w.startProcess()
	}
	f := w.function
	w.t.Cleanup(func() {
		_ = f.Close()
		w.check()
	})
}

func (w *world) startProcess() {
	w.t.Helper()
	env := w.setup.env
	if w.setup.textLogs {
		env = merged(header("AWS_LAMBDA_LOG_FORMAT", unset), env)
	}
	f, err := w.stack.StartFunction(context.Background(), w.setup.function, runtimeapi.Options{
		Env: env, Timeout: w.setup.timeout, MaxConcurrency: w.setup.concurrency,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.function = f
	err = f.WaitReady(context.Background())
	switch failed := (*runtimeapi.InitError)(nil); {
	case errors.As(err, &failed) && w.setup.initFails:
		w.initError = failed
	case err != nil:
		_ = f.Close()
		w.t.Fatalf("init: %v\n%s", err, strings.Join(f.Logs(), "\n"))
	case w.setup.initFails:
		_ = f.Close()
		w.t.Fatalf("init succeeded, want it to fail\n%s", strings.Join(f.Logs(), "\n"))
	}
}

// mark names values that must show in no log, reply or error of this world.
func (w *world) mark(values ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marked = append(w.marked, values...)
}

var markers struct {
	sync.Mutex
	n int
}

// marker is a text that is found nowhere by chance.
func marker(t *testing.T) string {
	markers.Lock()
	defer markers.Unlock()
	markers.n++
	return fmt.Sprintf("MARKER%04dx%x", markers.n, time.Now().UnixNano())
}

// invocation is an invocation of the event function, read.
type invocation struct {
	runtimeapi.Invocation
	result stage.Result // where there is one
	text   string       // the document: the payload, or the error's message
}

// raw invokes the function with any payload.
func (w *world) raw(payload []byte, options ...runtimeapi.InvokeOption) runtimeapi.Invocation {
	w.t.Helper()
	inv, err := w.function.Invoke(context.Background(), payload, options...)
	if err != nil {
		w.t.Fatalf("invoke with %.200s: %v", payload, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.invocations = append(w.invocations, inv)
	return inv
}

// invoke invokes the event function with a document, and reads the result that
// it answers with or fails with.
func (w *world) invoke(document string, options ...runtimeapi.InvokeOption) invocation {
	w.t.Helper()
	inv := invocation{Invocation: w.raw([]byte(document), options...)}
	if inv.FunctionError && !strings.HasPrefix(inv.ErrorType, "Segura.") {
		w.t.Fatalf("invoke with %.200s: got %s after %v: %s", document, inv.ErrorType, inv.Duration, inv.ErrorMessage)
	}
	answer, err := stage.ReadAnswer(event, inv.Invocation)
	inv.text = string(answer.Text)
	switch {
	case answer.Result != nil && err == nil:
		inv.result = *answer.Result
	case !inv.FunctionError || inv.ErrorType == "Segura.TransientError" || inv.ErrorType == "Segura.PermanentError":
		w.t.Fatalf("invoke with %.200s: no result: %v: %.2000s", document, err, inv.text)
	}
	return inv
}

// enable enables the identifiers by the event function.
func (w *world) enable(identifiers ...int64) invocation {
	w.t.Helper()
	return w.invoke(list("enable", identifiers...))
}

// one enables one identifier by the event function and returns its item.
func (w *world) one(identifier int64) stage.Item {
	w.t.Helper()
	inv := w.enable(identifier)
	if len(inv.result.Results) != 1 {
		w.t.Fatalf("enable %d: got %d results in %s %s, want 1", identifier, len(inv.result.Results), inv.ErrorType, inv.text)
	}
	return inv.result.Results[0]
}

// selfCheck runs the self-check.
func (w *world) selfCheck(options ...runtimeapi.InvokeOption) (stage.SelfCheck, runtimeapi.Invocation) {
	w.t.Helper()
	inv := w.raw([]byte(`{"check": true}`), options...)
	answer, err := stage.ReadAnswer(event, inv)
	if err != nil || answer.SelfCheck == nil {
		w.t.Fatalf("no report of a self-check: %v: %.2000s", err, answer.Text)
	}
	return *answer.SelfCheck, inv
}

// list is the document of a request.
func list(action string, identifiers ...int64) string {
	var b strings.Builder
	b.WriteString(`{"identifiers":[`)
	for i, identifier := range identifiers {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(identifier, 10))
	}
	b.WriteByte(']')
	if action != "enable" {
		b.WriteString(`,"action":` + strconv.Quote(action))
	}
	b.WriteByte('}')
	return b.String()
}

// upTo is first, first+1 … last.
func upTo(first, last int64) []int64 {
	var all []int64
	for ; first <= last; first++ {
		all = append(all, first)
	}
	return all
}

// decode decodes one JSON document without tolerating fields that are not known.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := stage.Decode([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// httpAnswer is the answer of the API function, read.
type httpAnswer struct {
	runtimeapi.Invocation
	status  int
	header  http.Header // single and multiple values alike
	body    string
	item    stage.Item    // of a 200 for one identifier
	result  stage.Result  // of a 200 or 207 for several
	problem stage.Problem // of everything else
}

// http sends a request as an HTTP API does (payload format 2.0).
func (w *world) http(method, path, body string, header map[string]string) httpAnswer {
	w.t.Helper()
	return w.httpEvent(stage.HTTPEvent(method, path, body, header))
}

// rest sends a request as a REST API does (payload format 1.0).
func (w *world) rest(method, path, body string, header map[string]string) httpAnswer {
	w.t.Helper()
	return w.httpEvent(stage.RESTEvent(method, path, body, header))
}

// httpEvent sends an event of the stage, perhaps with changes.
func (w *world) httpEvent(e map[string]any, options ...runtimeapi.InvokeOption) httpAnswer {
	w.t.Helper()
	payload, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	return readHTTP(w.t, w.raw(payload, options...))
}

func readHTTP(t *testing.T, inv runtimeapi.Invocation) httpAnswer {
	t.Helper()
	a := httpAnswer{Invocation: inv, header: http.Header{}}
	if inv.FunctionError {
		t.Errorf("the API function ended in a function error: %s: %s", inv.ErrorType, inv.ErrorMessage)
		return a
	}
	answer, err := stage.ReadAnswer(api, inv)
	if err != nil {
		t.Fatal(err)
	}
	a.status, a.header, a.body = answer.Status, answer.Header, string(answer.Text)
	a.check(t, answer)
	return a
}

// check checks what every response must have, and takes its document.
func (a *httpAnswer) check(t *testing.T, answer stage.Answer) {
	t.Helper()
	if got, want := a.header.Get("Cache-Control"), "no-store"; got != want {
		t.Errorf("Cache-Control of a %d: got %q, want %q", a.status, got, want)
	}
	if got, want := a.header.Get("X-Request-Id"), a.RequestID; got != want {
		t.Errorf("X-Request-Id of a %d: got %q, want %q", a.status, got, want)
	}
	contentType, want := a.header.Get("Content-Type"), "application/json"
	success := a.status == 200 || a.status == 207
	switch {
	case success && answer.Result != nil:
		a.result = *answer.Result
	case success && answer.Item != nil:
		a.item = *answer.Item
	case !success && answer.Problem != nil:
		a.problem, want = *answer.Problem, "application/problem+json"
		if a.problem.Status != a.status {
			t.Errorf("status in the problem: got %d, want that of the response, %d", a.problem.Status, a.status)
		}
		if got, want := a.problem.Instance, "urn:uuid:"+a.RequestID; got != want {
			t.Errorf("instance of the problem: got %q, want %q", got, want)
		}
	default:
		t.Fatalf("the body of a %d is another document: %.2000s", a.status, a.body)
	}
	if contentType != want {
		t.Errorf("Content-Type of a %d: got %q, want %s", a.status, contentType, want)
	}
}

// auditLines counts audit lines without reading them, of which there may be many.
func auditLines(texts []string) int {
	n := 0
	for _, text := range texts {
		if strings.Contains(text, `"identifier":`) && strings.Contains(text, `"duration_ms":`) {
			n++
		}
	}
	return n
}

// logs are all lines so far, as JSON.
func (w *world) logs() []stage.Line { return parse(w.t, w.function.Logs()) }

// audit are the audit lines so far.
func (w *world) audit() []stage.Line { return pick(w.logs(), stage.Line.IsAudit) }

// metrics are the metric lines so far.
func (w *world) metrics() []stage.Line { return pick(w.logs(), stage.Line.IsMetric) }

func pick(lines []stage.Line, keep func(stage.Line) bool) []stage.Line {
	var kept []stage.Line
	for _, l := range lines {
		if keep(l) {
			kept = append(kept, l)
		}
	}
	return kept
}

func parse(t *testing.T, texts []string) []stage.Line {
	t.Helper()
	var lines []stage.Line
	for _, text := range texts {
		var l stage.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Errorf("log line %.500q is no JSON object: %v", text, err)
			continue
		}
		lines = append(lines, l)
	}
	return lines
}

// check checks what holds of every world: the form of log lines, that no secret
// value shows anywhere, how Segura was called, and that Lambda never had to end
// an invocation.
func (w *world) check() {
	w.checkInvocations()
	w.checkRequests()
	w.checkSecrecy()
	if !w.setup.textLogs {
		w.checkLines()
	}
	if w.t.Failed() {
		w.t.Logf("the last lines of %s, metrics left out:\n%s", stage.FunctionName(w.setup.function), lastLines(w.function.Logs(), 12))
	}
}

func lastLines(all []string, n int) string {
	var lines []string
	for _, text := range all {
		if !strings.Contains(text, `"_aws"`) {
			lines = append(lines, text[:min(len(text), 400)])
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (w *world) checkInvocations() {
	for _, inv := range w.invocations {
		if inv.TimedOut {
			w.t.Errorf("invocation %s was ended by Lambda after %v", inv.RequestID, inv.Duration)
		}
		if inv.FunctionError && !strings.HasPrefix(inv.ErrorType, "Segura.") {
			w.t.Errorf("invocation %s ended with errorType %q, want one of ours: %s", inv.RequestID, inv.ErrorType, inv.ErrorMessage)
		}
		if inv.FunctionError && w.setup.function == api {
			w.t.Errorf("the API function ended in a function error: %s", inv.Payload)
		}
	}
}

func (w *world) checkRequests() {
	for _, kind := range []seguratest.Kind{seguratest.KindPasswordEnable, seguratest.KindPasswordDisable} {
		if n := w.segura.Count(kind); n != 0 {
			w.t.Errorf("Segura got %d requests of kind %s, want none ever", n, kind)
		}
	}
	for _, r := range w.segura.Requests() {
		if strings.Contains(strings.ToLower(r.Path), "/mysafe/password/") {
			w.t.Errorf("Segura got %s %s: the route of passwords", r.Method, r.Path)
		}
		if got := r.Header.Get("Accept"); got != "application/json" {
			w.t.Errorf("Accept of %s %s: got %q, want application/json", r.Method, r.Path, got)
		}
		if r.TLS.Version != 0 && r.TLS.Version < 0x0303 {
			w.t.Errorf("%s %s came over TLS %#x, want 1.2 or newer", r.Method, r.Path, r.TLS.Version)
		}
		if r.Query != "" {
			w.t.Errorf("%s %s has the query %q, want none", r.Method, r.Path, r.Query)
		}
	}
}

// manyLines is how many lines of one invocation are checked one by one; of more
// than that, a part is.
const manyLines = 200

func (w *world) checkLines() {
	checked := map[string]bool{}
	for _, inv := range w.invocations {
		step := 1 + len(inv.Logs)/manyLines
		for i, text := range inv.Logs {
			checked[text] = true
			if i%step == 0 {
				w.checkLine(text, inv.RequestID)
			}
		}
	}
	for _, text := range w.function.Logs() {
		if !checked[text] {
			w.checkLine(text, "")
		}
	}
}

// checkLine checks the form of one line; requestID is empty outside an
// invocation.
func (w *world) checkLine(text, requestID string) {
	l, err := stage.ReadLine(text)
	if err != nil {
		w.t.Errorf("log line %.500q: %v", text, err)
		return
	}
	if requestID != "" && l.Text("requestId") != requestID {
		w.t.Errorf("log line %.500s: got requestId %q, want %s", text, l.Text("requestId"), requestID)
	}
}

// checkSecrecy looks for parts of secret values in everything that came out of
// the function.
func (w *world) checkSecrecy() {
	var said strings.Builder
	for _, text := range w.function.Logs() {
		said.WriteString(text + "\n")
	}
	for _, inv := range w.invocations {
		said.Write(inv.Payload)
		fmt.Fprintf(&said, "\n%s\n%s\n%s\n", inv.ErrorType, inv.ErrorMessage, inv.XRayCause)
	}
	if w.initError != nil {
		fmt.Fprintln(&said, w.initError.Message)
	}
	text := said.String()
	for name, value := range w.secretValues() {
		for _, part := range parts(value) {
			if at := strings.Index(text, part); at >= 0 {
				w.t.Errorf("%s shows (%q) in: …%s…", name, part, text[max(0, at-200):min(len(text), at+200)])
				break
			}
		}
	}
}

// secretValues are values that must show nowhere, under what they are.
func (w *world) secretValues() map[string]string {
	o := w.segura
	values := map[string]string{
		"the AWS session token":     runtimeapi.SessionToken,
		"the AWS secret access key": runtimeapi.SecretAccessKey,
		"the AWS access key id":     runtimeapi.AccessKeyID,
		"the client_id":             w.setup.segura.ClientID,
		"the client_secret":         w.setup.segura.ClientSecret,
		"the new client_secret":     o.ClientSecret(),
		"the Basic credentials": base64.StdEncoding.EncodeToString([]byte(
			url.QueryEscape(w.setup.segura.ClientID) + ":" + url.QueryEscape(w.setup.segura.ClientSecret))),
		"a token's type": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9",
	}
	_, key := o.ClientCertificate()
	values["the client_key"] = keyBody(key)
	_, stranger := o.StrangerCertificate()
	values["the stranger's client_key"] = keyBody(stranger)
	for i, token := range o.Tokens() {
		values[fmt.Sprintf("access token %d", i+1)] = token
		if i == 50 {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, value := range w.marked {
		values[fmt.Sprintf("marked value %d", i+1)] = value
	}
	return values
}

// keyBody is the base64 of a private key in PEM.
func keyBody(pem string) string {
	var body strings.Builder
	for l := range strings.Lines(pem) {
		if !strings.HasPrefix(l, "-----") {
			body.WriteString(strings.TrimSpace(l))
		}
	}
	return body.String()
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

// is compares the parts of an item that a test is about.
func is(t *testing.T, i stage.Item, about, outcome, code string, retryable bool, attempts int) {
	t.Helper()
	got := fmt.Sprintf("%s, %d attempts", i.Outcome, i.Attempts)
	want := fmt.Sprintf("%s, %d attempts", outcome, attempts)
	if i.Error != nil {
		got += fmt.Sprintf(", %s, retryable %v", i.Error.Code, i.Error.Retryable)
	}
	if code != "" {
		want += fmt.Sprintf(", %s, retryable %v", code, retryable)
	}
	if got != want {
		t.Errorf("%s: got identifier %d %s; want %s (%+v)", about, i.Identifier, got, want, i.Error)
	}
	if i.Error != nil && i.Error.Message == "" {
		t.Errorf("%s: identifier %d: the error has no message", about, i.Identifier)
	}
}

// counts compares how often the three kinds of request were made since the
// last reset of the records.
func (w *world) counts(about string, tokens, calls, reads int) {
	w.t.Helper()
	got := fmt.Sprintf("%d token requests, %d calls, %d secret reads", w.segura.Count(seguratest.KindToken),
		w.segura.Count(seguratest.KindEnable)+w.segura.Count(seguratest.KindDisable), w.secrets.Reads())
	want := fmt.Sprintf("%d token requests, %d calls, %d secret reads", tokens, calls, reads)
	if got != want {
		w.t.Errorf("%s: got %s; want %s", about, got, want)
	}
}

// grace keeps Lambda from ending an invocation at its deadline. Where all waits are
// for ever, what answers has looked at the deadline by itself, and a slow machine
// may be late with it.
func grace() runtimeapi.InvokeOption { return runtimeapi.WithGrace(time.Minute) }

// holdUntilAtOnce keeps the first calls waiting for their replies until n of them
// are there at once.
func (w *world) holdUntilAtOnce(reply seguratest.Fault, n int) {
	all := make(chan struct{})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, reply.Until(all), n)
	go func() {
		defer close(all)
		_ = w.segura.Await(w.t.Context(), seguratest.KindEnable, n)
	}()
}
