package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

const (
	// containersName is the name under which containers find this machine.
	containersName = "host.docker.internal"

	// servicesPort is that of Secrets Manager in tools/sam/local-env.json.
	servicesPort = 4566

	// What two subcommands ask alike.
	nameUsage    = "`name` under which containers find this machine"
	gatewayUsage = "`addresses` that this machine may have on the containers' bridge, or their subnets; without one, the engine has to lead the name here"
)

// services is the subcommand of that name.
func services(ctx context.Context, args []string, t terminal) error {
	flags := flag.NewFlagSet("services", flag.ContinueOnError)
	port := flags.Int("port", servicesPort, "`number` of the port of Secrets Manager; 0 is any free one")
	name := flags.String("name", containersName, nameUsage)
	gateway := flags.String("gateway", "", gatewayUsage)
	anyIdentifier := flags.Bool("any", false, "have an API secret for every identifier, not for those of the samples alone")
	if err := parse(flags, args, 0, t); err != nil {
		return err
	}
	r := newRunner(t, false)
	defer r.end()
	r.page.print(r.page.bold("What the functions need, for a sam local of yours, until Ctrl-C") + "\n")
	host, err := r.startServices(ctx, *gateway, stage.Options{
		AdvertiseHost: *name, SecretsPort: *port, Segura: seguratest.Options{AnyIdentifier: *anyIdentifier},
	})
	if err != nil {
		return err
	}
	build, flagsOfAll := "sam build", ""
	if runtime.GOARCH == "amd64" {
		flagsOfAll = " --parameter-overrides Architecture=x86_64"
		build = "ARCH=amd64 sam build" + flagsOfAll
	}
	if host != "" {
		flagsOfAll = " --add-host " + *name + ":" + host + flagsOfAll
	}
	r.page.lines("try",
		build,
		"sam local invoke EventFunction --event events/direct-one.json"+flagsOfAll,
		"sam local start-api"+flagsOfAll,
	)
	<-ctx.Done()
	return nil
}

// sam is the subcommand of that name.
func sam(ctx context.Context, args []string, t terminal) error {
	flags := flag.NewFlagSet("sam", flag.ContinueOnError)
	path := flags.String("sam", "sam", "`path` of the SAM CLI")
	name := flags.String("name", containersName, nameUsage)
	gateway := flags.String("gateway", "", gatewayUsage)
	event := flags.String("event", "", "send only the sample in this `file` of events/")
	about := flags.String("about", "", "`text` to show about the image")
	logs := flags.Bool("logs", false, "show everything that sam and the functions write too")
	if err := parse(flags, args, -1, t); err != nil {
		return err
	}
	samples, err := samplesOf(*event)
	if err != nil {
		return err
	}
	r := newRunner(t, *logs)
	defer r.end()
	if r.workspace, err = os.MkdirTemp("", "segura-local"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	r.page.print(r.page.bold("The Segura enable function, in containers of sam local") + "\n")
	host, err := r.startServices(ctx, *gateway, stage.Options{AdvertiseHost: *name})
	if err != nil {
		return err
	}
	if *about != "" {
		r.page.field("image", *about)
	}
	variables, err := writeVariables(r.workspace, r.stack.Env())
	if err != nil {
		return err
	}
	cli := &samCLI{path: *path, args: append(flags.Args(), "--env-vars", variables), env: samEnvironment(r.workspace)}
	if host != "" {
		cli.args = append(cli.args, "--add-host", *name+":"+host)
	}
	if err := r.throughSAM(ctx, cli, samples); err != nil || *event != "" {
		return err
	}
	r.page.print("\n" + r.page.bold("sam local start-api") + "\n")
	return r.throughAPI(ctx, cli)
}

// samplesOf is the one sample in a file, or all of them but windows': sam local passes on
// only variables that the template declares, and an address of DynamoDB is none of them.
func samplesOf(file string) ([]stage.Sample, error) {
	if file == "" {
		return slices.DeleteFunc(slices.Clone(stage.Samples), func(s stage.Sample) bool { return s.Function == stage.Window }), nil
	}
	sample, known := stage.SampleOf(file)
	if !known {
		return nil, fmt.Errorf("%s is none of the samples in events/", file)
	}
	return []stage.Sample{sample}, nil
}

// startServices starts Segura and Secrets Manager where containers reach them, and
// returns the address for the containers' name of this machine. It is empty where the
// engine, which runs in a virtual machine then, leads that name to our loopback by itself.
func (r *runner) startServices(ctx context.Context, gateway string, o stage.Options) (host string, err error) {
	o.ListenHost = ourAddress(ctx, gateway)
	if r.stack, err = stage.Start(ctx, o); err != nil {
		return "", err
	}
	r.page.field("Segura", r.stack.Segura.URL()+", simulated, with a private CA; "+o.AdvertiseHost+" in the containers")
	r.page.field("secret", stage.SecretName+" at "+r.stack.Secrets.URL())
	return o.ListenHost, nil
}

// ourAddress is the first of some addresses that this machine can listen on. A
// subnet stands for its first address, which engines give to the machine.
func ourAddress(ctx context.Context, candidates string) string {
	for candidate := range strings.FieldsSeq(candidates) {
		if subnet, err := netip.ParsePrefix(candidate); err == nil {
			candidate = subnet.Masked().Addr().Next().String()
		}
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort(candidate, "0"))
		if err == nil && listener.Close() == nil {
			return candidate
		}
	}
	return ""
}

// writeVariables writes the file for --env-vars. It holds the name of the AWS
// secret and addresses, and nothing that is confidential.
func writeVariables(folder string, env map[string]string) (file string, err error) {
	file = filepath.Join(folder, "variables.json")
	document, err := json.Marshal(map[string]any{"Parameters": env})
	if err == nil {
		err = os.WriteFile(file, document, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write the variables: %w", err)
	}
	return file, nil
}

// samEnvironment is this program's own environment without anything of AWS, and
// without the variables that the template declares too: sam would pass them on in
// the place of the template's. The function gets the credentials of the local
// stack, which open nothing.
func samEnvironment(workspace string) []string {
	var env []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "SEGURA_") &&
			name != "HTTPS_PROXY" && name != "NO_PROXY" && name != "SSL_CERT_DIR" {
			env = append(env, variable)
		}
	}
	return append(env,
		"AWS_ACCESS_KEY_ID="+runtimeapi.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY="+runtimeapi.SecretAccessKey,
		"AWS_SESSION_TOKEN="+runtimeapi.SessionToken,
		"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+filepath.Join(workspace, "none"),
		"AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(workspace, "none"),
		"SAM_CLI_TELEMETRY=0", "SAM_CLI_CONTAINER_CONNECTION_TIMEOUT=60", "PYTHONUNBUFFERED=1",
		"DOCKER_CONFIG="+filepath.Join(workspace, "none")) // it may have proxies for containers
}

// throughSAM sends samples through sam local invoke.
func (r *runner) throughSAM(ctx context.Context, cli *samCLI, samples []stage.Sample) error {
	root, err := stage.Root()
	if err != nil {
		return err
	}
	answered, reached := false, false
	err = r.each(time.Now(), samples, func(at int) (stage.Exchange, error) {
		sample := samples[at]
		event, err := sample.Read()
		if err != nil {
			return stage.Exchange{}, err
		}
		invoke := func() (runtimeapi.Invocation, error) {
			return cli.invoke(ctx, stage.FunctionName(sample.Function), filepath.Join(root, "events", sample.File))
		}
		x, err := r.stack.Observe(ctx, sample.Function, event, invoke)
		if errors.Is(err, errSilent) && x.SecretReads == 0 && ctx.Err() == nil {
			// On a busy machine, the emulator in the container is not always up in time to start the function.
			r.page.field("again", r.page.bad(err.Error()))
			x, err = r.stack.Observe(ctx, sample.Function, event, invoke)
		}
		answered, reached = answered || err == nil, reached || x.SecretReads > 0
		return x, err
	})
	if err != nil && answered && !reached {
		return fmt.Errorf("%w\nnothing reached %s: is there a firewall, or does the engine not run on this machine?", err, r.stack.Secrets.URL())
	}
	return err
}

// apiRequest is a request of a person with curl, and the sample whose outcome it
// has to have.
type apiRequest struct{ path, body, like string }

var apiRequests = []apiRequest{
	{"/api-secrets/5/enable", "", "rest-one.json"},
	{"/api-secrets/enable", `{"identifiers": [5, 6, 7]}`, "rest-batch.json"},
}

// throughAPI sends requests through sam local start-api.
func (r *runner) throughAPI(ctx context.Context, cli *samCLI) error {
	begin := time.Now()
	api, err := cli.startAPI(ctx)
	if err != nil {
		return err
	}
	defer api.stop()
	var samples []stage.Sample
	for _, request := range apiRequests {
		sample, _ := stage.SampleOf(request.like)
		sample.File, sample.About = "POST "+request.path, "as "+request.like
		samples = append(samples, sample)
	}
	return r.each(begin, samples, func(at int) (stage.Exchange, error) {
		request := apiRequests[at]
		event, err := json.Marshal(stage.HTTPEvent(http.MethodPost, request.path, request.body, nil)) // to be shown
		if err != nil {
			return stage.Exchange{}, err
		}
		return r.stack.Observe(ctx, stage.API, event, func() (runtimeapi.Invocation, error) { return api.post(ctx, request) })
	})
}

// post sends a request, and puts the response into the form in which functions
// answer.
func (a *samAPI) post(ctx context.Context, request apiRequest) (runtimeapi.Invocation, error) {
	ctx, cancel := context.WithTimeout(ctx, samLimit)
	defer cancel()
	begin, from := time.Now(), a.output.size()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+request.path, strings.NewReader(request.body))
	if err != nil {
		return runtimeapi.Invocation{}, fmt.Errorf("make the request: %w", err)
	}
	if request.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return runtimeapi.Invocation{}, a.output.explain("ask sam local start-api", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return runtimeapi.Invocation{}, a.output.explain("read the response", err)
	}
	headers := map[string]string{}
	for name := range response.Header {
		headers[name] = response.Header.Get(name)
	}
	payload, err := json.Marshal(map[string]any{"statusCode": response.StatusCode, "headers": headers, "body": string(body)})
	return runtimeapi.Invocation{Payload: payload, Duration: time.Since(begin), Logs: a.output.linesFrom(from)}, err
}
