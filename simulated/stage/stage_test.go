package stage_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

var bootstraps map[string]string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "local")
	if err == nil {
		bootstraps, err = stage.Build(context.Background(), dir, stage.BuildOptions{}, stage.API, stage.Event, stage.Window)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func start(t *testing.T, o stage.Options) *stage.Stack {
	t.Helper()
	o.Bootstraps = bootstraps
	stack, err := stage.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	return stack
}

func send(t *testing.T, stack *stage.Stack, function, event string) stage.Exchange {
	t.Helper()
	x, err := stack.Send(t.Context(), function, []byte(event))
	if err != nil {
		t.Fatalf("send %s: %v", event, err)
	}
	return x
}

func TestSamples_eachFileOfTheFolderHasARowAndEachRowAFile(t *testing.T) {
	files, err := filepath.Glob("../../events/*")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, file := range files {
		got = append(got, filepath.Base(file))
	}
	for _, sample := range stage.Samples {
		want = append(want, sample.File)
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("the folder has %q, the table %q", got, want)
	}
}

func TestSamples_doWhatTheyAreAboutInTheCompiledFunctions(t *testing.T) {
	stack := start(t, stage.Options{Functions: []string{stage.Event, stage.API, stage.Window}})
	for _, sample := range stage.Samples {
		t.Run(sample.File, func(t *testing.T) {
			if err := stack.Reset(); err != nil {
				t.Fatal(err)
			}
			event, err := sample.Read()
			if err != nil {
				t.Fatal(err)
			}
			if got := stage.FunctionFor(event); got != sample.Function {
				t.Errorf("the event looks like one for %q", got)
			}

			x := send(t, stack, sample.Function, string(event))

			for _, fault := range sample.Faults(x) {
				t.Error(fault)
			}
			checkLogs(t, sample, x)
			if t.Failed() {
				t.Logf("payload: %s\nlogs:\n%s", x.Invocation.Payload, strings.Join(x.Invocation.Logs, "\n"))
			}
		})
	}
}

// checkLogs holds the lines against what every line has to have, and counts the
// audit lines.
func checkLogs(t *testing.T, sample stage.Sample, x stage.Exchange) {
	t.Helper()
	var audited []string
	for _, text := range x.Invocation.Logs {
		line, err := stage.ReadLine(text)
		if err != nil || line.Text("requestId") != x.Invocation.RequestID {
			t.Errorf("line %s: %v, or another request id", text, err)
		}
		if line.IsAudit() && line.Text("source") == sample.Function {
			audited = append(audited, strings.TrimSpace(fmt.Sprint(line["identifier"], " ", line.Text("outcome"), " ", line.Text("code"))))
		}
	}
	want := slices.Clone(sample.Want.Results)
	slices.Sort(want)
	slices.Sort(audited)
	if !slices.Equal(audited, want) {
		t.Errorf("audit lines: got %q, want %q", audited, want)
	}
}

// make invoke-remote, with a shell script for the AWS CLI, that notes what it is asked for.
func TestSamples_invokeRemoteFindsTheirFunctions(t *testing.T) {
	notes, cli := filepath.Join(t.TempDir(), "notes"), filepath.Join(t.TempDir(), "aws")
	if err := os.WriteFile(cli, []byte("#!/bin/sh\necho \"$*\" >>'"+notes+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, sample := range stage.Samples {
		command := exec.CommandContext(t.Context(), "make", "-C", "../..", "invoke-remote", "EVENT=events/"+sample.File, "AWS="+cli)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", sample.File, err, out)
		}
		asked, _ := os.ReadFile(notes)
		if want := "'" + stage.FunctionName(sample.Function) + "Arn'"; !strings.Contains(string(asked), want) {
			t.Errorf("%s: asked for %s, want %s", sample.File, asked, want)
		}
		_ = os.Remove(notes)
	}
}

func TestStart_advertisesAnotherHost(t *testing.T) {
	stack := start(t, stage.Options{AdvertiseHost: "host.docker.internal"})

	if got := stack.Env()["AWS_ENDPOINT_URL_SECRETS_MANAGER"]; !strings.HasPrefix(got, "http://host.docker.internal:") {
		t.Errorf("endpoint: got %q", got)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(stack.Segura.CACertificate()))
	conn, err := tls.Dial("tcp", stack.Segura.Address(), &tls.Config{RootCAs: roots, ServerName: "host.docker.internal"})
	if err != nil {
		t.Fatalf("Segura's certificate is not for the advertised host: %v", err)
	}
	_ = conn.Close()
}

func TestSend_tellsWhatHappenedBehindTheFunction(t *testing.T) {
	stack := start(t, stage.Options{Functions: []string{stage.Event}, AdvertiseHost: "localhost"})
	_, port, _ := net.SplitHostPort(stack.Segura.Address())

	x := send(t, stack, stage.Event, `{"identifier": 5, "reason": "`+runtimeapi.SecretAccessKey+`"}`)

	if n := len(x.Requests); n == 0 || x.Requests[n-1].Host != "localhost:"+port {
		t.Errorf("got requests %+v", x.Requests)
	}
	if want := []string{"the AWS secret access key"}; !slices.Equal(x.Leaks, want) {
		t.Errorf("got leaks %q, want %q", x.Leaks, want)
	}
}

func TestFaults_namesEachWayInWhichASampleGoesWrong(t *testing.T) {
	sample, ok := stage.SampleOf("events/direct-one.json")
	if !ok {
		t.Fatal("no such sample")
	}
	inactive := map[int64]seguratest.APISecret{5: {}}
	active := map[int64]seguratest.APISecret{5: {Active: true}}
	good := stage.Exchange{Function: stage.Event, Before: inactive, After: active,
		Requests:   []seguratest.Request{{Kind: seguratest.KindEnable, Identifier: 5}},
		Invocation: runtimeapi.Invocation{Payload: []byte(`{"outcome":"succeeded","results":[{"identifier":5,"outcome":"enabled","attempts":1}]}`)}}
	if faults := sample.Faults(good); len(faults) > 0 {
		t.Fatalf("the good one: got %q", faults)
	}
	table := map[string]struct {
		spoil func(*stage.Exchange)
		want  string
	}{
		"wrong identifier": {func(x *stage.Exchange) { x.Invocation.Payload = []byte(`{"outcome":"succeeded","results":[]}`) }, "results: got none, want [5 enabled]"},
		"claimed only":     {func(x *stage.Exchange) { x.After = inactive }, "API secrets changed: got none, want [5 active]"},
		"asked twice":      {func(x *stage.Exchange) { x.Requests = append(x.Requests, x.Requests...) }, "calls to Segura: got [enable 5 enable 5]"},
		"wrong route": {func(x *stage.Exchange) {
			x.Requests = []seguratest.Request{{Kind: seguratest.KindPasswordEnable, Identifier: 5}}
		}, "calls to Segura: got [password_enable 5]"},
		"leak": {func(x *stage.Exchange) { x.Leaks = []string{"an access token"} }, "leaks: got [an access token]"},
		"crashed": {func(x *stage.Exchange) {
			x.Invocation = runtimeapi.Emulated([]byte(`{"errorType":"Runtime.ExitError","errorMessage":""}`))
		}, "did not answer: Runtime.ExitError"},
		"failed": {func(x *stage.Exchange) {
			x.Invocation = runtimeapi.Emulated([]byte(`{"errorType":"Segura.PermanentError","errorMessage":""}`))
		}, "function error: got Segura.PermanentError, want none"},
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		x := good
		table[name].spoil(&x)
		if got := strings.Join(sample.Faults(x), "; "); !strings.Contains(got, table[name].want) {
			t.Errorf("%s: got %q, want %q", name, got, table[name].want)
		}
	}
	check, _ := stage.SampleOf("self-check.json")
	got := strings.Join(check.Faults(good), "; ")
	for _, want := range []string{"steps of the self-check: got none, want [credentials passed", "requests of the self-check: got [enable], want [head token]"} {
		if !strings.Contains(got, want) {
			t.Errorf("a result for a self-check: got %q, want %q", got, want)
		}
	}
}
