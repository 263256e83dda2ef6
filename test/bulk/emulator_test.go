package bulk_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/stage"
)

const (
	account  = "123456789012"
	region   = "eu-west-1"
	bucket   = "lists"
	function = "arn:aws:lambda:" + region + ":" + account + ":function:EventFunction"
	role     = "arn:aws:iam::" + account + ":role/any"
)

// emulator is MiniStack in a process of its own.
type emulator struct {
	url    string
	failed <-chan error // gets the end of the process
	log    *bytes.Buffer
}

// startEmulator starts MiniStack with a bucket. The Python is one that has it.
func startEmulator(ctx context.Context, python, dir string) (*emulator, error) {
	root, err := stage.Root()
	if err != nil {
		return nil, err
	}
	address, err := stage.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	command := exec.CommandContext(ctx, python, filepath.Join(root, "tools", "statemachines", "emulator.py"))
	command.Env = append(os.Environ(), "GATEWAY_PORT="+port, "BIND_HOST=127.0.0.1", "MINISTACK_REGION="+region, "AWS_REGION="+region,
		"AWS_ACCESS_KEY_ID="+account, "LAMBDA_EXECUTOR=local", "DOCKER_HOST=tcp://127.0.0.1:1", "SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0",
		"TMPDIR="+dir, "STATE_DIR="+dir, "S3_DATA_DIR="+dir, "SFN_WAIT_SCALE=0.001")
	e := &emulator{url: "http://" + address, log: &bytes.Buffer{}}
	command.Stdout, command.Stderr, command.WaitDelay = e.log, e.log, time.Second
	if _, err := command.StdinPipe(); err != nil { // its end is the emulator's
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start MiniStack: %w", err)
	}
	failed := make(chan error, 1)
	e.failed = failed
	go func() { failed <- command.Wait() }()
	return e, e.ready(ctx)
}

// ready waits until the emulator answers, and makes the bucket.
func (e *emulator) ready(ctx context.Context) error {
	for {
		if _, err := e.call(ctx, http.MethodGet, "", "/_ministack/health", "", nil); err == nil {
			break
		}
		select {
		case err := <-e.failed:
			return fmt.Errorf("MiniStack has ended: %w: %s", err, e.log)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	here := "<CreateBucketConfiguration><LocationConstraint>" + region + "</LocationConstraint></CreateBucketConfiguration>"
	_, err := e.call(ctx, http.MethodPut, "s3", "/"+bucket, "", []byte(here))
	return err
}

// call calls one of AWS's services; target is the action of one that speaks JSON.
func (e *emulator) call(ctx context.Context, method, service, path, target string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20261126/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	if target != "" {
		request.Header.Set("X-Amz-Target", "AWSStepFunctions."+target)
		request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	reply, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s%s: %d %s", method, path, target, response.StatusCode, reply)
	}
	return reply, err
}

// ask calls one of AWS's services, which has to answer.
func (e *emulator) ask(t *testing.T, method, service, path string, body []byte) []byte {
	t.Helper()
	reply, err := e.call(t.Context(), method, service, path, "", body)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// states calls Step Functions.
func (e *emulator) states(t *testing.T, action string, arguments map[string]any, into any) {
	t.Helper()
	reply, err := e.call(t.Context(), http.MethodPost, "states", "/", action, encoded(t, arguments))
	if err == nil {
		err = json.Unmarshal(reply, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, value map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// deploy makes EventFunction of a bootstrap, in place of the one that was there.
func (e *emulator) deploy(t *testing.T, bootstrap string, env map[string]string) {
	t.Helper()
	_, _ = e.call(t.Context(), http.MethodDelete, "lambda", "/2015-03-31/functions/EventFunction", "", nil)
	e.ask(t, http.MethodPost, "lambda", "/2015-03-31/functions", encoded(t, map[string]any{
		"FunctionName": "EventFunction", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role, "Timeout": 60,
		"Code": map[string]any{"ZipFile": zipped(t, bootstrap)}, "Environment": map[string]any{"Variables": env},
	}))
}

// zipped is a zip of a bootstrap, which JSON has as base64.
func zipped(t *testing.T, bootstrap string) []byte {
	t.Helper()
	program, err := os.ReadFile(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	header.SetMode(0o755)
	file, err := w.CreateHeader(header)
	if err == nil {
		_, err = file.Write(program)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// execution is one that has ended.
type execution struct {
	Name, Status, Error, Cause, Output string
}

// execute runs a definition to its end.
func (e *emulator) execute(t *testing.T, definition []byte, input string) (x execution) {
	t.Helper()
	name := fmt.Sprintf("bulk-%d", time.Now().UnixNano())
	var machine struct{ StateMachineArn string }
	e.states(t, "CreateStateMachine", map[string]any{"name": name, "definition": string(definition), "roleArn": role}, &machine)
	var started struct{ ExecutionArn string }
	e.states(t, "StartExecution", map[string]any{"stateMachineArn": machine.StateMachineArn, "name": name, "input": input}, &started)
	for {
		if e.states(t, "DescribeExecution", map[string]any{"executionArn": started.ExecutionArn}, &x); x.Status != "RUNNING" {
			return x
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// put writes a list into the bucket.
func (e *emulator) put(t *testing.T, key, text string) {
	t.Helper()
	e.ask(t, http.MethodPut, "s3", "/"+bucket+"/"+key, []byte(text))
}

// results are the objects that an execution has written, by their keys.
func (e *emulator) results(t *testing.T, x execution) map[string][]byte {
	t.Helper()
	var list struct{ Contents []struct{ Key string } }
	if err := xml.Unmarshal(e.ask(t, http.MethodGet, "s3", "/"+bucket+"?list-type=2&prefix=results/"+x.Name+"/", nil), &list); err != nil {
		t.Fatal(err)
	}
	objects := map[string][]byte{}
	for _, one := range list.Contents {
		objects[one.Key] = e.ask(t, http.MethodGet, "s3", "/"+bucket+"/"+one.Key, nil)
	}
	return objects
}

// metric is the list of metrics that CloudWatch has, in its words.
func (e *emulator) metric(t *testing.T) string {
	t.Helper()
	return string(e.ask(t, http.MethodGet, "monitoring", "/?Action=ListMetrics&Version=2010-08-01&Namespace=Segura", nil))
}
