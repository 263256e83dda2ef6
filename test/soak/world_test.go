package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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
)

const (
	secretName     = "segura/mysafe-access-key"
	attemptTimeout = 400 * time.Millisecond
)

// world is the functions under soak and what surrounds them.
type world struct {
	segura    *seguratest.Server
	secrets   *secretsmanager.Server
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
	w := &world{}
	w.segura = seguratest.Start(t, seguratest.Options{
		BasePath: "/pam", AnyIdentifier: true, TokenLifetime: 20 * time.Second,
		APISecrets: map[int64]seguratest.APISecret{404: {Missing: true}, 403: {Forbidden: true}},
	})
	var err error
	if w.secrets, err = secretsmanager.Start(t.Context(), secretsmanager.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.secrets.Close() })
	w.putSecret(nil)
	for _, p := range []*process{
		{name: "ApiFunction", door: "api", workers: 1},
		{name: "EventFunction", door: "event", workers: 1},
		{name: "ApiFunction ×4", door: "api", workers: 4},
		{name: "EventFunction ×4", door: "event", workers: 4},
	} {
		w.start(t, p, len(w.processes))
		w.processes = append(w.processes, p)
	}
	return w
}

func (w *world) putSecret(overrides map[string]any) {
	w.secrets.Put(secretName, w.segura.SecretJSON(overrides))
}

func (w *world) start(t *testing.T, p *process, number int) {
	t.Helper()
	p.socket = filepath.Join(scratch, fmt.Sprintf("probe-%d", number))
	var err error
	p.function, err = runtimeapi.Start(t.Context(), runtimeapi.Options{
		Bootstrap: bootstraps[p.door], FunctionName: p.name, MaxConcurrency: p.workers, Timeout: 20 * time.Second,
		Env: map[string]string{
			"SEGURA_SECRET_ID":                 secretName,
			"SEGURA_ATTEMPT_TIMEOUT":           attemptTimeout.String(),
			"SEGURA_CREDENTIALS_TTL":           "10s",
			"SEGURA_ALLOWED_IDENTIFIERS":       "1-20000",
			"AWS_ENDPOINT_URL_SECRETS_MANAGER": w.secrets.URL(),
			"AWS_LAMBDA_LOG_FORMAT":            "JSON",
			"SOAK_PROBE":                       p.socket,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.function.Close() })
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
	if p.door == "api" {
		payload = request(document)
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
	text := string(invocation.Payload)
	if p.door == "api" {
		var response struct {
			StatusCode int    `json:"statusCode"`
			Body       string `json:"body"`
		}
		if err := json.Unmarshal(invocation.Payload, &response); err != nil || invocation.FunctionError {
			return fmt.Errorf("no HTTP response: %s", text)
		}
		if (response.StatusCode == 400) == valid {
			return fmt.Errorf("status %d for a request that is valid: %v: %s", response.StatusCode, valid, response.Body)
		}
		text = response.Body
	} else if invocation.FunctionError {
		text = invocation.ErrorMessage
		if (invocation.ErrorType == "Segura.InvalidRequest") == valid {
			return fmt.Errorf("%s for a request that is valid: %v", invocation.ErrorType, valid)
		}
	}
	if !valid || identifiers < 2 {
		return nil
	}
	var result struct{ Requested, Failed int }
	if err := json.Unmarshal([]byte(text), &result); err != nil || result.Requested != identifiers {
		return errors.Join(err, fmt.Errorf("%d identifiers requested, want %d: %.500s", result.Requested, identifiers, text))
	}
	p.failed.Add(int64(result.Failed))
	return nil
}

// draw makes a request: its document, how many identifiers it has, and whether
// it is one that can be understood.
func draw(r *rand.Rand, door string) (document string, identifiers int, valid bool) {
	action := ""
	if door == "event" && r.IntN(3) == 0 {
		action = `,"action":"disable"`
	}
	switch r.IntN(20) {
	case 0:
		return `{"identifier":0}`, 0, false
	case 1:
		return `{"identifiers":[5,5],"unknown":"` + strings.Repeat("x", 20<<10) + `"}`, 0, false
	case 2:
		if door == "event" {
			return `{"check":true}`, 0, true
		}
	case 3:
		if door == "event" && r.IntN(10) == 0 {
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

// request is the event of an HTTP API.
func request(document string) []byte {
	payload, _ := json.Marshal(map[string]any{
		"version": "2.0", "rawPath": "/api-secrets/enable", "headers": map[string]string{"content-type": "application/json"},
		"requestContext": map[string]any{"http": map[string]any{"method": "POST", "path": "/api-secrets/enable"}},
		"body":           document, "isBase64Encoded": false,
	})
	return payload
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
			w.segura.Fail(calls, seguratest.GoAway(), 1)
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
			w.accept()
		case 11:
			w.putSecret(map[string]any{"tenant": fmt.Sprint("tenant-", turn)}) // another document, another client
		}
		time.Sleep(time.Duration(float64(2*time.Second) * r.ExpFloat64()))
	}
}

// rotate changes the client secret in both places, Segura first.
func (w *world) rotate(next string) {
	w.segura.RotateClientSecret(next)
	w.segura.RevokeTokens()
	time.Sleep(200 * time.Millisecond)
	w.putSecret(nil)
}

// accept opens the door again. The port may have been taken for a moment.
func (w *world) accept() {
	for range 100 {
		if w.segura.AcceptConnections() == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
