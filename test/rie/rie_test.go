// Package rie_test lets AWS's own runtime interface emulator, which is what the base
// images of Lambda bring, invoke the compiled functions with every sample of events/,
// and holds the answers against those that `make run` gives. So the imitation of the
// Runtime API in simulated/runtimeapi has a judge that was not written here.
package rie_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
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

func TestSamples_areAnsweredAsByMakeRun(t *testing.T) {
	if program == "" {
		t.Skip("make check-rie runs this, where AWS's emulator of the runtime can be had")
	}
	functions := []string{stage.API, stage.Event, stage.Window}
	bootstraps, err := stage.Build(t.Context(), t.TempDir(), stage.BuildOptions{}, functions...)
	if err != nil {
		t.Fatal(err)
	}
	// Each has surroundings of its own: the second answer to a key of idempotency is another.
	ours, around := surroundings(t, functions, bootstraps), surroundings(t, functions, bootstraps)
	theirs := map[string]string{}
	for _, function := range functions {
		theirs[function] = start(t, bootstraps[function], around.Env())
	}

	for _, sample := range stage.Samples {
		t.Run(sample.File, func(t *testing.T) {
			event, err := sample.Read()
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(ours.Reset(), around.Reset()); err != nil {
				t.Fatal(err)
			}

			want, err := ours.Send(t.Context(), sample.Function, event)
			if err != nil {
				t.Fatal(err)
			}
			got, err := around.Observe(t.Context(), sample.Function, event, func() (runtimeapi.Invocation, error) {
				return invoke(t.Context(), theirs[sample.Function], event)
			})
			if err != nil {
				t.Fatal(err)
			}

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
		maps.DeleteFunc(v, func(name string, _ any) bool {
			return slices.ContainsFunc(passing, func(p string) bool { return strings.EqualFold(p, name) })
		})
		for name, one := range v {
			v[name] = open(one)
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

// start starts a function behind the emulator, which ends with the test, and returns where
// it is invoked.
func start(t *testing.T, bootstrap string, env map[string]string) string {
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
		connection, err := net.Dial("tcp", door)
		if err == nil {
			_ = connection.Close()
			return "http://" + door + "/2015-03-31/functions/function/invocations"
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func invoke(ctx context.Context, url string, event []byte) (runtimeapi.Invocation, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(event))
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
