package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

const attemptTimeout = 400 * time.Millisecond

// world is the functions under soak and what surrounds them.
type world struct {
	stack     *stage.Stack
	segura    *seguratest.Server     // the stack's
	secrets   *secretsmanager.Server // the stack's
	processes []*process

	// Invocations hold it for reading, samples for writing: they are taken while
	// nothing is under way, so that what is counted is what stays.
	quiet sync.RWMutex
}

// process is one function. Its process must live from the first to the last
// invocation.
type process struct {
	name     string
	door     string // api or event
	workers  int    // invocations at once
	function *runtimeapi.Function
	socket   string
	pid      int

	invocations, identifiers, failed, late atomic.Int64
	samples                                []sample
}

func newWorld(t *testing.T) *world {
	t.Helper()
	stack, err := stage.Start(t.Context(), stage.Options{Functions: []string{}, Bootstraps: bootstraps, Segura: seguratest.Options{
		BasePath: "/pam", AnyIdentifier: true, TokenLifetime: 20 * time.Second,
		APISecrets: map[int64]seguratest.APISecret{404: {Missing: true}, 403: {Forbidden: true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	w := &world{stack: stack, segura: stack.Segura, secrets: stack.Secrets}
	for _, p := range []*process{
		{name: "ApiFunction", door: stage.API, workers: 1},
		{name: "EventFunction", door: stage.Event, workers: 1},
		{name: "ApiFunction ×4", door: stage.API, workers: 4},
		{name: "EventFunction ×4", door: stage.Event, workers: 4},
	} {
		w.start(t, p, len(w.processes))
		w.processes = append(w.processes, p)
	}
	return w
}

func (w *world) start(t *testing.T, p *process, number int) {
	t.Helper()
	p.socket = filepath.Join(scratch, fmt.Sprintf("probe-%d", number))
	_ = os.Remove(p.socket) // of a run before, with -count
	var err error
	p.function, err = w.stack.StartFunction(t.Context(), p.door, runtimeapi.Options{
		MaxConcurrency: p.workers, Timeout: 20 * time.Second,
		Env: map[string]string{
			"SEGURA_ATTEMPT_TIMEOUT":     attemptTimeout.String(),
			"SEGURA_CREDENTIALS_TTL":     "10s",
			"SEGURA_ALLOWED_IDENTIFIERS": "1-20000",
			"SOAK_PROBE":                 p.socket,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.function.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.pid = p.function.PID()
}

// drive makes one invocation after the other until the time is over.
func (w *world) drive(p *process, r *rand.Rand, until time.Time) error {
	pause := time.Duration(float64(time.Second) * float64(p.workers) / *rate)
	for time.Now().Before(until) {
		w.quiet.RLock()
		err := p.invoke(r)
		w.quiet.RUnlock()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		time.Sleep(time.Duration(float64(pause) * r.ExpFloat64()))
	}
	return nil
}

// invoke makes one invocation of a random kind and holds the answer against it.
func (p *process) invoke(r *rand.Rand) error {
	document, identifiers, valid := draw(r, p.door)
	payload := []byte(document)
	if p.door == stage.API {
		payload, _ = json.Marshal(stage.HTTPEvent(http.MethodPost, "/api-secrets/enable", document, nil)) // text and numbers only
	}
	timeout := 20 * time.Second
	if r.IntN(40) == 0 {
		timeout = 1200 * time.Millisecond // so that time runs out now and then
	}
	// A machine that stands still for a moment must not cost the process its life.
	invocation, err := p.function.Invoke(context.Background(), payload, runtimeapi.WithTimeout(timeout), runtimeapi.WithGrace(time.Minute))
	if err != nil {
		return err
	}
	if invocation.Duration > timeout {
		p.late.Add(1)
	}
	p.invocations.Add(1)
	p.identifiers.Add(int64(identifiers))
	if invocation.TimedOut || strings.HasPrefix(invocation.ErrorType, "Runtime.") || invocation.ErrorType == "Segura.InternalError" {
		return fmt.Errorf("%s, timed out: %v\n%s", invocation.ErrorType, invocation.TimedOut, strings.Join(invocation.Logs, "\n"))
	}
	return p.judge(invocation, identifiers, valid)
}

// judge holds the answer against the request, as far as the weather allows.
func (p *process) judge(invocation runtimeapi.Invocation, identifiers int, valid bool) error {
	answer, err := stage.ReadAnswer(p.door, invocation)
	if err != nil {
		return err
	}
	refused := answer.Status == http.StatusBadRequest || answer.ErrorType == "Segura.InvalidRequest"
	if refused == valid || answer.ErrorType != "" && p.door == stage.API {
		return fmt.Errorf("%d %s for a request that is valid: %v: %.500s", answer.Status, answer.ErrorType, valid, answer.Text)
	}
	if !valid || identifiers < 2 {
		return nil
	}
	if answer.Result == nil || answer.Result.Requested != identifiers {
		return fmt.Errorf("no result of %d identifiers: %.500s", identifiers, answer.Text)
	}
	p.failed.Add(int64(answer.Result.Failed))
	return nil
}

// draw makes a request: its document, how many identifiers it has, and whether
// it is one that can be understood.
func draw(r *rand.Rand, door string) (document string, identifiers int, valid bool) {
	action := ""
	if door == stage.Event && r.IntN(3) == 0 {
		action = `,"action":"disable"`
	}
	switch r.IntN(20) {
	case 0:
		return `{"identifier":0}`, 0, false
	case 1:
		return `{"identifiers":[5,5],"unknown":"` + strings.Repeat("x", 20<<10) + `"}`, 0, false
	case 2:
		if door == stage.Event {
			return `{"check":true}`, 0, true
		}
	case 3:
		if door == stage.Event && r.IntN(10) == 0 {
			return list(r, 1000, action), 1000, true
		}
		return list(r, 100, action), 100, true
	case 4, 5, 6, 7, 8:
		n := 2 + r.IntN(20)
		return list(r, n, action), n, true
	}
	return fmt.Sprintf(`{"identifier":%d%s}`, 1+r.IntN(30000), action), 1, true
}

// list names consecutive identifiers, the missing and the forbidden ones at times
// among them, and at times some that are not allowed.
func list(r *rand.Rand, n int, action string) string {
	var texts []string
	first := slices.Max([]int{1, []int{350, 19990, r.IntN(15000)}[r.IntN(3)]})
	for i := range n {
		texts = append(texts, fmt.Sprint(first+i))
	}
	return `{"identifiers":[` + strings.Join(texts, ",") + `],"reason":"soak"` + action + `}`
}

// churn changes the credentials and tokens, and lets things fail, until the time
// is over.
func (w *world) churn(r *rand.Rand, until time.Time) {
	calls := seguratest.Match{Kind: seguratest.KindEnable}
	tokens := seguratest.Match{Kind: seguratest.KindToken}
	for turn := 0; time.Now().Before(until); turn++ {
		switch r.IntN(12) {
		case 0, 1:
			w.segura.RevokeTokens()
		case 2:
			w.rotate(fmt.Sprintf("soak-secret-%d-%d", turn, r.Uint64()))
		case 3:
			w.segura.DropConnections()
		case 4:
			w.segura.Fail(calls, seguratest.Gateway502(), 5)
			w.segura.Fail(calls, seguratest.Gateway429().WithHeader("Retry-After", "1"), 1)
		case 5:
			w.segura.Fail(calls, seguratest.Hang(), 3)
			w.segura.Fail(calls, seguratest.ResetMidBody(), 3)
		case 6:
			w.segura.Fail(tokens, seguratest.Gateway503(), 2)
			w.segura.RevokeTokens()
		case 7:
			w.segura.Fail(calls, seguratest.GiantBody(1), 1)
			w.segura.Fail(calls, seguratest.CloseConnection(), 1)
			w.segura.Fail(calls, seguratest.EndlessHeaders(), 1)
		case 8:
			w.secrets.Fail(secretsmanager.Throttling, 2)
			w.secrets.Fail(secretsmanager.Hang, 1)
		case 9:
			w.secrets.Fail(secretsmanager.Reset, 2)
		case 10:
			refusals := []seguratest.Refused{seguratest.NotListening, seguratest.ResetOnAccept, seguratest.SilentOnAccept}
			_ = w.segura.RefuseConnections(refusals[r.IntN(len(refusals))])
			w.segura.DropConnections()
			time.Sleep(500 * time.Millisecond)
			_ = w.segura.AcceptConnections()
		case 11:
			w.stack.PutSecret(map[string]any{"tenant": fmt.Sprint("tenant-", turn)}) // another document, another client
		}
		time.Sleep(time.Duration(float64(2*time.Second) * r.ExpFloat64()))
	}
}

// rotate changes the client secret in both places, Segura first.
func (w *world) rotate(next string) {
	w.segura.RotateClientSecret(next)
	w.segura.RevokeTokens()
	time.Sleep(200 * time.Millisecond)
	w.stack.PutSecret(nil)
}
