// Command deploy builds the functions and deploys the stack with the SAM CLI, after it
// has seen that the parameters, the architecture and the SAM CLI are ones that can be
// used. `make deploy` runs it, in the folder of template.yaml; what follows its own
// flags goes to sam deploy.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "deploy: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// deployment is what the flags say.
type deployment struct {
	sam, aws, stack, arch, file string
	samFlags                    []string // of sam deploy
}

func run(ctx context.Context, args []string) error {
	var d deployment
	flags := flag.NewFlagSet("deploy", flag.ContinueOnError)
	flags.StringVar(&d.sam, "sam", "sam", "the `program` of the SAM CLI")
	flags.StringVar(&d.aws, "aws", "aws", "the `program` of the AWS CLI")
	flags.StringVar(&d.stack, "stack", "segura-enable", "`name` of the stack")
	flags.StringVar(&d.arch, "arch", "", "architecture, arm64 or amd64; empty: as the parameters say, or as it is deployed")
	flags.StringVar(&d.file, "parameters", "parameters.yaml", "`file` of the parameters")
	if err := flags.Parse(args); err != nil {
		return err
	}
	d.samFlags = flags.Args()

	template, err := readTemplate("template.yaml")
	if err != nil {
		return err
	}
	values, err := d.values(template)
	if err != nil {
		return err
	}
	if err := d.checkSAM(ctx); err != nil {
		return err
	}
	architecture, err := d.architecture(ctx, template, values)
	if err != nil {
		return err
	}
	return d.deploy(ctx, architecture, values)
}

// goNames are Go's names of Lambda's architectures.
var goNames = map[string]string{"arm64": "arm64", "x86_64": "amd64"}

// values are the parameters that are passed on: those of the file, and Architecture
// where one was asked for. What is left out stays as it is deployed.
func (d deployment) values(template template) (map[string]string, error) {
	wanted := map[string]string{"": "", "arm64": "arm64", "amd64": "x86_64"}
	architecture, known := wanted[d.arch]
	if !known {
		return nil, fmt.Errorf("ARCH is arm64 or amd64, not %q", d.arch)
	}
	text, err := os.ReadFile(d.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s with the parameters: write it (an empty one leaves every parameter as it is), or name another one: make deploy PARAMETERS=file", d.file)
	} else if err != nil {
		return nil, fmt.Errorf("read the parameters: %w", err)
	}
	values, err := readParameters(text, template)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.file, err)
	}
	if inFile, given := values["Architecture"]; given {
		if _, known := goNames[inFile]; !known {
			return nil, fmt.Errorf("%s: Architecture is arm64 or x86_64, not %q", d.file, inFile)
		}
		if architecture != "" && architecture != inFile {
			return nil, fmt.Errorf("ARCH=%s, but %s says Architecture: %s", d.arch, d.file, inFile)
		}
	} else if architecture != "" {
		values["Architecture"] = architecture
	}
	return values, nil
}

// minimumSAM is the first SAM CLI that reads --parameter-overrides from a file, which
// is the only way to pass an empty value.
var minimumSAM = [3]int{1, 152, 0}

func (d deployment) checkSAM(ctx context.Context) error {
	said, err := exec.CommandContext(ctx, d.sam, "--version").Output() //nolint:gosec // the operator's own program
	if err != nil {
		return fmt.Errorf("the SAM CLI (%s) does not say its version: %w", d.sam, err)
	}
	var version [3]int
	_, number, _ := strings.Cut(string(said), "version ")
	if _, err := fmt.Sscanf(number, "%d.%d.%d", &version[0], &version[1], &version[2]); err != nil {
		return fmt.Errorf("the SAM CLI (%s) says %q, which is no version", d.sam, strings.TrimSpace(string(said)))
	}
	if slices.Compare(version[:], minimumSAM[:]) < 0 {
		return fmt.Errorf("the SAM CLI (%s) is %s, and 1.152.0 or newer is needed; SAM=.venv/bin/sam takes the one that is pinned here", d.sam, strings.TrimSpace(number))
	}
	return nil
}

// architecture is what the functions are built for.
func (d deployment) architecture(ctx context.Context, template template, values map[string]string) (string, error) {
	if given := values["Architecture"]; given != "" {
		return given, nil
	}
	arguments := append([]string{
		"cloudformation", "describe-stacks", "--stack-name", d.stack, "--output", "text",
		"--query", "Stacks[0].Parameters[?ParameterKey=='Architecture'].ParameterValue",
	}, d.awsFlags()...)
	var said bytes.Buffer
	command := exec.CommandContext(ctx, d.aws, arguments...) //nolint:gosec // the operator's own program
	command.Stderr = &said
	deployed, err := command.Output()
	if err != nil && !strings.Contains(said.String(), "does not exist") {
		return "", fmt.Errorf("ask AWS for the stack %s: %w\n%s", d.stack, err, strings.TrimSpace(said.String()))
	}
	if name := strings.TrimSpace(string(deployed)); goNames[name] != "" {
		return name, nil
	}
	return template.Parameters["Architecture"].Default, nil // there is no such stack yet
}

// awsFlags are those flags of sam deploy that say where the stack is: the AWS CLI has
// to look there too.
func (d deployment) awsFlags() (found []string) {
	for i, f := range d.samFlags {
		name, _, hasValue := strings.Cut(f, "=")
		if name != "--profile" && name != "--region" {
			continue
		}
		found = append(found, f)
		if !hasValue && i+1 < len(d.samFlags) {
			found = append(found, d.samFlags[i+1])
		}
	}
	return found
}

// deploy runs sam build and sam deploy.
func (d deployment) deploy(ctx context.Context, architecture string, values map[string]string) error {
	file := filepath.Join(".aws-sam", "parameters.yaml")
	document, err := json.MarshalIndent(values, "", "  ") // which is YAML too
	if err == nil {
		err = os.MkdirAll(".aws-sam", 0o750)
	}
	if err == nil {
		err = os.WriteFile(file, document, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the parameters: %w", err)
	}
	if err := d.call(ctx, goNames[architecture], "build", "--parameter-overrides", "Architecture="+architecture); err != nil {
		return err
	}
	deploy := []string{"deploy", "--stack-name", d.stack, "--parameter-overrides", "file://" + filepath.ToSlash(file)}
	return d.call(ctx, goNames[architecture], append(deploy, d.samFlags...)...)
}

// call runs the SAM CLI. The variables of this make are none of the one that sam build
// runs.
func (d deployment) call(ctx context.Context, arch string, arguments ...string) error {
	fmt.Fprintf(os.Stderr, "$ %s %s\n", d.sam, strings.Join(arguments, " "))
	command := exec.CommandContext(ctx, d.sam, arguments...) //nolint:gosec // the operator's own program
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL"}, name)
	})
	command.Env = append(command.Env, "ARCH="+arch)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("sam %s: %w", arguments[0], err)
	}
	return nil
}
