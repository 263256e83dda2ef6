package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
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

// world is the functions under soak and what surrounds them.
type world struct {
	*stage.Stack
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

	invocations atomic.Int64
	samples     []sample
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
	w := &world{Stack: stack}
	for _, door := range []string{stage.API, stage.Event} {
		for _, workers := range []int{1, 4} {
			w.processes = append(w.processes, w.start(t, door, workers))
		}
	}
	return w
}

func (w *world) start(t *testing.T, door string, workers int) *process {
	t.Helper()
	p := &process{name: fmt.Sprint(stage.FunctionName(door), " ×", workers), door: door, workers: workers, socket: filepath.Join(t.TempDir(), "probe")}
	var err error
	p.function, err = w.StartFunction(t.Context(), p.door, runtimeapi.Options{
		MaxConcurrency: p.workers, Timeout: 20 * time.Second,
		Env: map[string]string{
			"SEGURA_ATTEMPT_TIMEOUT":     "400ms",
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
	return p
}

// drive makes one invocation after the other until the time is over.
func (w *world) drive(p *process, r *rand.Rand, until time.Time) error {
	pause := float64(200*time.Millisecond) * float64(p.workers) // on average: five a second of each process
	for time.Now().Before(until) {
		w.quiet.RLock()
		err := p.invoke(r)
		w.quiet.RUnlock()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		time.Sleep(time.Duration(pause * r.ExpFloat64()))
	}
	return nil
}

// invoke makes one invocation of a random kind and holds the answer against it.
func (p *process) invoke(r *rand.Rand) error {
	document, identifiers := draw(r)
	if p.door == stage.Event && r.IntN(20) == 0 {
		document, identifiers = `{"check":true}`, -1
	}
	payload := []byte(document)
	if p.door == stage.API {
		payload, _ = json.Marshal(stage.HTTPEvent(http.MethodPost, "/api-secrets/enable", document, nil)) // text and numbers only
	}
	timeout := 20 * time.Second
	if r.IntN(40) == 0 {
		timeout = 1200 * time.Millisecond // so that time runs out now and then
	}
	// A machine that stands still for a moment must not cost the process its life.
	inv, err := p.function.Invoke(context.Background(), payload, runtimeapi.WithTimeout(timeout), runtimeapi.WithGrace(time.Minute))
	if err != nil {
		return err
	}
	p.invocations.Add(1)
	answer, err := stage.ReadAnswer(p.door, inv)
	if err != nil || inv.TimedOut || inv.ErrorType == "Segura.InternalError" {
		return fmt.Errorf("%s, timed out: %v: %w\n%s", inv.ErrorType, inv.TimedOut, err, strings.Join(inv.Logs, "\n"))
	}
	refused := answer.Status == http.StatusBadRequest || answer.ErrorType == "Segura.InvalidRequest"
	if refused != (identifiers == 0) || identifiers > 0 && (answer.Result == nil || answer.Result.Requested != identifiers) {
		return fmt.Errorf("%d %s for %d identifiers: %.500s", answer.Status, answer.ErrorType, identifiers, answer.Text)
	}
	return nil
}

// draw makes a request: its document, and how many consecutive identifiers it has, the
// missing and the forbidden ones at times among them, and at times some that are not
// allowed; none, if it cannot be understood.
func draw(r *rand.Rand) (document string, identifiers int) {
	switch r.IntN(20) {
	case 0:
		return `{"identifier":0}`, 0
	case 1:
		return `{"identifiers":[5,5],"unknown":"` + strings.Repeat("x", 20<<10) + `"}`, 0
	case 2:
		identifiers = 100
	default:
		identifiers = 1 + max(0, r.IntN(40)-20)
	}
	var texts []string
	first := []int{350, 19990, 1 + r.IntN(15000)}[r.IntN(3)]
	for i := range identifiers {
		texts = append(texts, fmt.Sprint(first+i))
	}
	return `{"identifiers":[` + strings.Join(texts, ",") + `],"reason":"soak"}`, identifiers
}

// churn changes the credentials and tokens, and lets things fail, until the time
// is over.
func (w *world) churn(r *rand.Rand, until time.Time) {
	calls := seguratest.Match{Kind: seguratest.KindEnable}
	for turn := 0; time.Now().Before(until); turn++ {
		switch r.IntN(7) {
		case 0:
			w.Segura.RevokeTokens()
			w.Segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Gateway503(), 2)
		case 1:
			w.Segura.RotateClientSecret(fmt.Sprintf("soak-secret-%d-%d", turn, r.Uint64()))
			w.Segura.RevokeTokens()
			time.Sleep(200 * time.Millisecond)
			w.PutSecret(nil)
		case 2:
			w.Segura.DropConnections()
		case 3:
			for _, fault := range []seguratest.Fault{seguratest.Gateway502(), seguratest.Gateway429().WithHeader("Retry-After", "1"), seguratest.Hang(),
				seguratest.ResetMidBody(), seguratest.GiantBody(1), seguratest.CloseConnection(), seguratest.EndlessHeaders()} {
				w.Segura.Fail(calls, fault, 1+r.IntN(3))
			}
		case 4:
			w.Secrets.Fail(secretsmanager.Throttling, 2)
			w.Secrets.Fail(secretsmanager.Hang, 1)
			w.Secrets.Fail(secretsmanager.Reset, 2)
		case 5:
			refusals := []seguratest.Refused{seguratest.NotListening, seguratest.ResetOnAccept, seguratest.SilentOnAccept}
			_ = w.Segura.RefuseConnections(refusals[r.IntN(len(refusals))])
			w.Segura.DropConnections()
			time.Sleep(500 * time.Millisecond)
			_ = w.Segura.AcceptConnections()
		case 6:
			w.PutSecret(map[string]any{"tenant": fmt.Sprint("tenant-", turn)}) // another document, another client
		}
		time.Sleep(time.Duration(float64(2*time.Second) * r.ExpFloat64()))
	}
}
