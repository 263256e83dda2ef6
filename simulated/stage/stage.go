// Package stage is the whole application on one machine: a simulated Segura, a
// Secrets Manager endpoint with its access key, and the compiled functions
// under a Lambda Runtime API, on loopback and without an AWS account.
//
// It stands behind the command segura-local and the tests that run the compiled
// functions from end to end. It knows the functions only as Lambda does, by
// their environment, their input and their output: nothing of their code is
// imported here.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// The functions, by the names of their folders.
const (
	API   = "api"   // behind API Gateway and function URLs
	Event = "event" // for schedules, EventBridge, Step Functions and direct invocation
)

// What the functions are configured with, unless [Options] say otherwise.
const (
	SecretName         = "segura/mysafe-access-key"
	AllowedIdentifiers = "1-999"
	DefaultIdentifiers = "100-102"
)

// functions says under which name and with which timeout each one is deployed.
var functions = map[string]struct {
	name    string
	timeout time.Duration
}{
	API:   {"ApiFunction", 25 * time.Second},
	Event: {"EventFunction", 15 * time.Minute},
}

// Options say what to start. The zero value starts everything on loopback.
type Options struct {
	// Functions to start, of [API] and [Event]. Nil means both; an empty slice
	// that is not nil means none, only Segura and Secrets Manager.
	Functions []string

	// Bootstraps are the paths of compiled functions by name. One that is
	// missing is compiled.
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

	// Timeout of the functions. Zero means the one that each is deployed with.
	Timeout time.Duration

	// MaxConcurrency is how many invocations one process of a function takes at
	// once. Zero means one.
	MaxConcurrency int

	// Log receives the functions' log lines as they come. Nil means nobody.
	Log io.Writer
}

// Stack is a running stack. Its methods may be called at once, but an
// [Exchange] tells what happened to the whole stack meanwhile.
type Stack struct {
	// Segura and Secrets are there to be asked and to be made to fail.
	Segura  *seguratest.Server
	Secrets *secretsmanager.Server

	options   Options
	functions map[string]*runtimeapi.Function
	workspace string // of the functions compiled here
}

// Start starts the stack and waits until each function has asked for its first
// event. A function that cannot start is a [*runtimeapi.InitError]. The stack
// runs until Close, the functions also until ctx ends.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Functions == nil {
		o.Functions = []string{Event, API}
	}
	if o.ListenHost == "" {
		o.ListenHost = "127.0.0.1"
	}
	s := &Stack{options: o, functions: map[string]*runtimeapi.Function{}}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) error {
	bootstraps, err := s.compile(ctx)
	if err != nil {
		return err
	}
	if err := s.startServices(ctx); err != nil {
		return err
	}
	for _, name := range s.options.Functions {
		f, err := runtimeapi.Start(ctx, runtimeapi.Options{
			Bootstrap: bootstraps[name], FunctionName: functions[name].name, Env: s.Env(),
			Timeout: s.timeout(name), MaxConcurrency: s.options.MaxConcurrency, Output: s.options.Log,
		})
		if err != nil {
			return fmt.Errorf("start function %s: %w", name, err)
		}
		s.functions[name] = f
	}
	for name, f := range s.functions {
		if err := f.WaitReady(ctx); err != nil {
			return fmt.Errorf("start function %s: %w", name, err)
		}
	}
	return nil
}

// compile returns a bootstrap for each function.
func (s *Stack) compile(ctx context.Context) (map[string]string, error) {
	bootstraps := maps.Clone(s.options.Bootstraps)
	var missing []string
	for _, name := range s.options.Functions {
		if _, known := functions[name]; !known {
			return nil, fmt.Errorf("there is no function %q", name)
		}
		if bootstraps[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return bootstraps, nil
	}
	var err error
	if s.workspace, err = os.MkdirTemp("", "segura-local"); err != nil {
		return nil, fmt.Errorf("make a folder to compile to: %w", err)
	}
	compiled, err := Build(ctx, s.workspace, missing...)
	if err != nil {
		return nil, err
	}
	maps.Copy(compiled, bootstraps)
	return compiled, nil
}

func (s *Stack) startServices(ctx context.Context) (err error) {
	o := s.options
	anyPort := net.JoinHostPort(o.ListenHost, "0")
	if o.Segura.Address == "" {
		o.Segura.Address = anyPort
	}
	if o.AdvertiseHost != "" {
		o.Segura.TLS.Hosts = append(slices.Clone(o.Segura.TLS.Hosts), o.AdvertiseHost)
	}
	if s.Segura, err = seguratest.New(o.Segura); err != nil {
		return fmt.Errorf("start the simulated Segura: %w", err)
	}
	s.Secrets, err = secretsmanager.Start(ctx, secretsmanager.Options{
		Address:       net.JoinHostPort(o.ListenHost, strconv.Itoa(o.SecretsPort)),
		AdvertiseHost: o.AdvertiseHost,
	})
	if err != nil {
		return err
	}
	s.PutSecret(nil)
	return nil
}

func (s *Stack) timeout(function string) time.Duration {
	if s.options.Timeout > 0 {
		return s.options.Timeout
	}
	return functions[function].timeout
}

// PutSecret writes the AWS secret for Segura as it is now, as after a rotation.
// An override replaces or adds a field; nil removes it.
func (s *Stack) PutSecret(overrides map[string]any) {
	fields := map[string]any{"base_url": s.advertised(s.Segura.URL())}
	if path := s.options.Segura.TokenPath; path != "" && path != seguratest.DefaultTokenPath {
		fields["token_url"] = s.advertised(s.Segura.TokenURL())
	}
	maps.Copy(fields, overrides)
	s.Secrets.Put(SecretName, s.Segura.SecretJSON(fields))
}

// advertised puts the advertised host into an address.
func (s *Stack) advertised(address string) string {
	u, err := url.Parse(address)
	if err != nil || s.options.AdvertiseHost == "" {
		return address
	}
	u.Host = net.JoinHostPort(s.options.AdvertiseHost, u.Port())
	return u.String()
}

// Env is what the stack configures the functions with, Lambda's own variables
// apart.
func (s *Stack) Env() map[string]string {
	env := map[string]string{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": s.Secrets.URL(),
		"AWS_LAMBDA_LOG_FORMAT":            "JSON",
		"AWS_LAMBDA_LOG_LEVEL":             "INFO",
		"SEGURA_SECRET_ID":                 SecretName,
		"SEGURA_ALLOWED_IDENTIFIERS":       AllowedIdentifiers,
		"SEGURA_DEFAULT_IDENTIFIERS":       DefaultIdentifiers,
	}
	maps.Copy(env, s.options.Env)
	return env
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

// Close ends everything and waits until no process is left. It may be called
// again.
func (s *Stack) Close() error {
	var faults []error
	for _, f := range s.functions {
		faults = append(faults, f.Close())
	}
	if s.Secrets != nil {
		faults = append(faults, s.Secrets.Close())
	}
	if s.Segura != nil {
		s.Segura.Close()
	}
	if s.workspace != "" {
		faults = append(faults, os.RemoveAll(s.workspace))
	}
	return errors.Join(faults...)
}
