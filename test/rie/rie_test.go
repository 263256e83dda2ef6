// Package rie_test lets AWS's own runtime interface emulator, which is what the base
// images of Lambda bring, invoke the compiled functions with every sample of events/,
// and holds the answers against those that `make run` gives. So the imitation of the
// Runtime API in simulated/runtimeapi has a judge that was not written here.
package rie_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// program is the emulator, where make check-rie could build it.
var program = os.Getenv("AWS_LAMBDA_RIE")

func TestMain(m *testing.M) {
	if program == "" {
		fmt.Println("make check-rie runs these, where AWS's emulator of the runtime can be had")
		return
	}
	os.Exit(m.Run())
}

func TestSamples_areAnsweredAsByMakeRun(t *testing.T) {
	functions := []string{stage.API, stage.Event, stage.Window}
	bootstraps, err := stage.Build(t.Context(), t.TempDir(), stage.BuildOptions{}, functions...)
	if err != nil {
		t.Fatal(err)
	}
	// Each has surroundings of its own: the second answer to a key of idempotency is another.
	ours, around := surroundings(t, functions, bootstraps), surroundings(t, functions, bootstraps)
	theirs := map[string]*emulator{}
	for _, function := range functions {
		theirs[function] = start(t, bootstraps[function], around.Env())
	}

	for _, sample := range stage.Samples {
		t.Run(sample.File, func(t *testing.T) {
			event, err := sample.Read()
			if err != nil {
				t.Fatal(err)
			}
			want := exchange(t, ours, func() (stage.Exchange, error) { return ours.Send(t.Context(), sample.Function, event) })
			got := exchange(t, around, func() (stage.Exchange, error) {
				return around.Observe(t.Context(), sample.Function, event, func() (runtimeapi.Invocation, error) {
					return theirs[sample.Function].invoke(t.Context(), event)
				})
			})
			for _, fault := range sample.Faults(got) {
				t.Error(fault)
			}
			if g, w := lasting(got.Invocation.Payload), lasting(want.Invocation.Payload); !reflect.DeepEqual(g, w) {
				t.Errorf("got %v\nwant %v", g, w)
			}
		})
	}
}

func surroundings(t *testing.T, functions []string, bootstraps map[string]string) *stage.Stack {
	t.Helper()
	stack, err := stage.Start(t.Context(), stage.Options{Functions: functions, Bootstraps: bootstraps})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	return stack
}

func exchange(t *testing.T, stack *stage.Stack, send func() (stage.Exchange, error)) stage.Exchange {
	t.Helper()
	if err := stack.Reset(); err != nil {
		t.Fatal(err)
	}
	x, err := send()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// passing are the members of a document that differ from one invocation to the next.
var passing = []string{"duration_ms", "instance", "upstream_request_id", "X-Request-Id", "id", "Location", "from", "until", "created_at", "at"}

// lasting is a document without those, and with documents inside texts opened.
func lasting(document []byte) any {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return string(document)
	}
	return open(value)
}

func open(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, one := range v {
			v[name] = open(one)
			if slices.ContainsFunc(passing, func(p string) bool { return strings.EqualFold(p, name) }) {
				delete(v, name)
			}
		}
	case []any:
		for i, one := range v {
			v[i] = open(one)
		}
	case string:
		if strings.HasPrefix(v, "{") {
			return lasting([]byte(v))
		}
	}
	return value
}

// emulator is a function behind AWS's emulator.
type emulator struct{ url string }

// start starts a function behind the emulator, which ends with the test.
func start(t *testing.T, bootstrap string, env map[string]string) *emulator {
	t.Helper()
	door := free(t)
	command := exec.CommandContext(t.Context(), program, "--log-level", "error", "--runtime-api-address", free(t), "--runtime-interface-emulator-address", door, bootstrap)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=" + runtimeapi.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + runtimeapi.SecretAccessKey, "AWS_SESSION_TOKEN=" + runtimeapi.SessionToken,
		"SSL_CERT_FILE=" + os.DevNull, "SSL_CERT_DIR=/nonexistent",
	}
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	// It ends the function at an interrupt.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	var said stage.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Cancel() // it may have ended
		_ = command.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for {
		var dialer net.Dialer
		if connection, err := dialer.DialContext(t.Context(), "tcp", door); err == nil {
			_ = connection.Close()
			return &emulator{url: "http://" + door + "/2015-03-31/functions/function/invocations"}
		} else if t.Context().Err() != nil {
			t.Fatal(err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (e *emulator) invoke(ctx context.Context, event []byte) (runtimeapi.Invocation, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(event))
	if err != nil {
		return runtimeapi.Invocation{}, err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return runtimeapi.Invocation{}, err
	}
	defer func() { _ = response.Body.Close() }()
	payload, err := io.ReadAll(response.Body)
	return runtimeapi.Emulated(payload), err
}

func free(t *testing.T) string {
	t.Helper()
	address, err := stage.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}
