// Package stage is the whole application on one machine: a simulated Segura, a
// Secrets Manager endpoint with its access key, and the compiled functions
// under a Lambda Runtime API, on loopback and without an AWS account.
//
// It stands behind the command segura-local and all tests that run the compiled
// functions from end to end. It knows the functions only as Lambda does, by
// their environment, their input and their output: nothing of their code is
// imported here.
package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"segura-enable/simulated/dynamodb"
	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// The functions, by the names of their folders.
const (
	API    = "api"    // behind API Gateway and function URLs
	Event  = "event"  // for schedules, EventBridge, Step Functions and direct invocation
	Window = "window" // for windows, from everywhere
)

// What the functions are configured with, unless [Options] say otherwise.
const (
	SecretName         = "segura/mysafe-access-key"
	AllowedIdentifiers = "1-999"
	DefaultIdentifiers = "100-102"
)

// Unset takes a variable of the environment away that has it for a value.
const Unset = "\x00"

// functions says under which name and with which timeout each one is deployed.
var functions = map[string]struct {
	name    string
	timeout time.Duration
}{
	API:    {"ApiFunction", 25 * time.Second},
	Event:  {"EventFunction", 15 * time.Minute},
	Window: {"WindowFunction", 15 * time.Minute},
}

// Options say what to start. The zero value starts Segura, Secrets Manager and DynamoDB on
// loopback, and no function.
type Options struct {
	// Functions to start, of [API], [Event] and [Window], and the paths of the compiled
	// ones by name.
	Functions  []string
	Bootstraps map[string]string

	// Env is added to the functions' environment and wins over the stack's own.
	Env map[string]string

	// Segura are the options of the simulated Segura.
	Segura seguratest.Options

	// ListenHost is the address that Segura and Secrets Manager listen on.
	// Empty means 127.0.0.1.
	ListenHost string

	// AdvertiseHost is the host name under which functions that are not on this
	// machine, in a container for example, find Segura and Secrets Manager.
	// Segura's certificate is also for this name. Empty means ListenHost.
	AdvertiseHost string

	// SecretsPort is the port of Secrets Manager. Zero means any free one.
	SecretsPort int

	// SecretsTLS has Secrets Manager speak TLS, with the certificate of Segura.
	SecretsTLS bool
}

// Stack is a running stack. Its methods may be called at once, but an
// [Exchange] tells what happened to the whole stack meanwhile.
type Stack struct {
	// Segura, Secrets and Tables are there to be asked and to be made to fail.
	Segura  *seguratest.Server
	Secrets *secretsmanager.Server
	Tables  *dynamodb.Server // the table of windows

	options   Options
	functions map[string]*runtimeapi.Function // those of Start

	mu   sync.Mutex
	ends []func() error // of all that was started, in its order
}

// Start starts the stack and waits until each function has asked for its first
// event. A function that cannot start is a [*runtimeapi.InitError]. The stack
// runs until Close, the functions also until ctx ends.
func Start(ctx context.Context, o Options) (*Stack, error) {
	o.ListenHost = cmp.Or(o.ListenHost, "127.0.0.1")
	s := &Stack{options: o, functions: map[string]*runtimeapi.Function{}}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) (err error) {
	if err := s.startServices(ctx); err != nil {
		return err
	}
	for _, name := range s.options.Functions {
		if s.functions[name], err = s.StartFunction(ctx, name, runtimeapi.Options{Env: s.Env()}); err != nil {
			return err
		}
	}
	for name, f := range s.functions {
		if err := f.WaitReady(ctx); err != nil {
			return fmt.Errorf("start function %s: %w", name, err)
		}
	}
	return nil
}

// atEnd has Close call a function.
func (s *Stack) atEnd(end func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, end)
}

// StartFunction starts one more process of a function, whether Start has started
// one or not, and returns at once: see [runtimeapi.Function.WaitReady]. It ends with
// the stack. What the options leave open is as it is deployed; their environment is
// added to what tells the function where the stack is, and wins over that.
func (s *Stack) StartFunction(ctx context.Context, name string, o runtimeapi.Options) (*runtimeapi.Function, error) {
	o.Bootstrap = cmp.Or(o.Bootstrap, s.options.Bootstraps[name])
	o.FunctionName = functions[name].name
	o.Timeout = cmp.Or(o.Timeout, functions[name].timeout)
	env := s.surroundings()
	env["SSL_CERT_FILE"], env["SSL_CERT_DIR"] = os.DevNull, "/nonexistent" // no system roots: they cost time and must not matter
	maps.Copy(env, o.Env)
	maps.DeleteFunc(env, func(_, value string) bool { return value == Unset })
	o.Env = env
	f, err := runtimeapi.Start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start function %s: %w", name, err)
	}
	s.atEnd(f.Close)
	return f, nil
}

func (s *Stack) startServices(ctx context.Context) (err error) {
	o := s.options
	anyPort := net.JoinHostPort(o.ListenHost, "0")
	o.Segura.Address = cmp.Or(o.Segura.Address, anyPort)
	if o.AdvertiseHost != "" {
		o.Segura.TLS.Hosts = append(slices.Clone(o.Segura.TLS.Hosts), o.AdvertiseHost)
	}
	if s.Segura, err = seguratest.New(o.Segura); err != nil {
		return fmt.Errorf("start the simulated Segura: %w", err)
	}
	s.atEnd(func() error { s.Segura.Close(); return nil })
	secrets := secretsmanager.Options{
		Address:       net.JoinHostPort(o.ListenHost, strconv.Itoa(o.SecretsPort)),
		AdvertiseHost: o.AdvertiseHost,
	}
	if o.SecretsTLS {
		certificate := s.Segura.ServerCertificate()
		secrets.Certificate = &certificate
	}
	if s.Secrets, err = secretsmanager.Start(ctx, secrets); err != nil {
		return err
	}
	s.atEnd(s.Secrets.Close)
	s.PutSecret(nil)
	if s.Tables, err = dynamodb.Start(ctx, dynamodb.Options{Address: anyPort}); err != nil {
		return err
	}
	s.atEnd(s.Tables.Close)
	return nil
}

// PutSecret writes the AWS secret for Segura as it is now, as after a rotation.
// An override replaces or adds a field; nil removes it.
func (s *Stack) PutSecret(overrides map[string]any) {
	fields := map[string]any{}
	if host := s.options.AdvertiseHost; host != "" {
		_, port, _ := net.SplitHostPort(s.Segura.Address())
		fields["base_url"] = strings.Replace(s.Segura.URL(), s.Segura.Address(), net.JoinHostPort(host, port), 1)
	}
	maps.Copy(fields, overrides)
	s.Secrets.Put(SecretName, s.Segura.SecretJSON(fields))
}

// Env is what the functions of Start are configured with, Lambda's own variables
// apart.
func (s *Stack) Env() map[string]string {
	env := s.surroundings()
	env["AWS_LAMBDA_LOG_LEVEL"] = "INFO"
	env["SEGURA_ALLOWED_IDENTIFIERS"] = AllowedIdentifiers
	env["SEGURA_DEFAULT_IDENTIFIERS"] = DefaultIdentifiers
	maps.Copy(env, s.options.Env)
	return env
}

// surroundings is what every function has to know to find its way on the stack.
func (s *Stack) surroundings() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": s.Secrets.URL(),
		"AWS_LAMBDA_LOG_FORMAT":            "JSON",
		"SEGURA_SECRET_ID":                 SecretName,
		"AWS_ENDPOINT_URL_DYNAMODB":        s.Tables.URL(),
		"SEGURA_WINDOWS_TABLE":             s.Tables.Table(),
	}
}

// Function is a started function; nil where it was not asked for.
func (s *Stack) Function(name string) *runtimeapi.Function { return s.functions[name] }

// FunctionName is the name that a function is deployed under.
func FunctionName(function string) string { return functions[function].name }

// Reset brings back Segura's API secrets and forgets faults and records. The
// functions keep what they have cached.
func (s *Stack) Reset() error {
	s.Secrets.Reset()
	s.Segura.Reset()
	if err := s.Segura.AcceptConnections(); err != nil {
		return fmt.Errorf("reset the simulated Segura: %w", err)
	}
	return nil
}

// Confidential are the values that no function may ever show, and what each one
// is: the client secret, every token issued, the functions' AWS credentials.
func (s *Stack) Confidential() map[string]string {
	values := map[string]string{
		s.Segura.ClientSecret():    "the client secret",
		runtimeapi.SecretAccessKey: "the AWS secret access key",
		runtimeapi.SessionToken:    "the AWS session token",
	}
	for _, token := range s.Segura.Tokens() {
		values[token] = "an access token"
	}
	return values
}

// Close ends everything, the functions first, and waits until no process is left. It may
// be called again.
func (s *Stack) Close() error {
	s.mu.Lock()
	ends := s.ends
	s.mu.Unlock()
	var faults []error
	for _, end := range slices.Backward(ends) {
		faults = append(faults, end())
	}
	return errors.Join(faults...)
}

// FreeAddress is an address of this machine that nobody listens on, for a program that
// is not told which one it got.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free address: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
