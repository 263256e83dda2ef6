package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var declared = template{Parameters: map[string]declaration{
	"WindowsEnabled": {"false"}, "EventPattern": {}, "ScheduleExpression": {}, "AllowedIdentifiers": {}, "MaxAttempts": {"4"}, "Architecture": {"arm64"},
}}

func TestReadParameters_givesTheTextsThatCloudFormationTakes(t *testing.T) {
	table := []struct{ file, name, want string }{
		{"WindowsEnabled: true", "WindowsEnabled", "true"},
		{"WindowsEnabled: 'true'", "WindowsEnabled", "true"},
		{"MaxAttempts: 4", "MaxAttempts", "4"},
		{"AllowedIdentifiers: 5", "AllowedIdentifiers", "5"},
		{"AllowedIdentifiers: 5,7,100-199 # ours", "AllowedIdentifiers", "5,7,100-199"},
		{"AllowedIdentifiers: 1000000000000000000", "AllowedIdentifiers", "1000000000000000000"},
		{"AllowedIdentifiers: [5, 7, 100-199]", "AllowedIdentifiers", "5,7,100-199"},
		{"AllowedIdentifiers: ''", "AllowedIdentifiers", ""},
		{"ScheduleExpression: rate(1 minute)", "ScheduleExpression", "rate(1 minute)"},
		{"ScheduleExpression: cron(0 8 ? * MON-FRI *)", "ScheduleExpression", "cron(0 8 ? * MON-FRI *)"},
		{`EventPattern: {"source": ["com.example"], "detail": {"a": [{"prefix": "<"}], "n": [1, true, null]}}`, "EventPattern", `{"detail":{"a":[{"prefix":"<"}],"n":[1,true,null]},"source":["com.example"]}`},
		{"EventPattern:\n  source: [com.example]", "EventPattern", `{"source":["com.example"]}`},
		{`EventPattern: '{"source": ["com.example"]}'`, "EventPattern", `{"source": ["com.example"]}`},
	}
	for _, row := range table {
		got, err := readParameters([]byte(row.file), declared)
		if value, given := got[row.name]; err != nil || !given || value != row.want || len(got) != 1 {
			t.Errorf("%s: got %q, %v, want %s %q", row.file, got, err, row.name, row.want)
		}
	}
}

func TestReadParameters_takesAFileOfNothing(t *testing.T) {
	for _, file := range []string{"", "# Later.\n", "---\n"} {
		if got, err := readParameters([]byte(file), declared); err != nil || len(got) != 0 {
			t.Errorf("%q: got %q, %v, want nothing", file, got, err)
		}
	}
}

func TestReadParameters_refusesWhatCloudFormationWouldNotTell(t *testing.T) {
	table := []struct{ file, want string }{
		{"MaxAttempts: 4\nAlowedIdentifiers: 5", "line 2: the template has no parameter AlowedIdentifiers"},
		{"AllowedIdentifiers: 5\nAllowedIdentifiers: 6", "line 2: AllowedIdentifiers stands here twice"},
		{"AllowedIdentifiers:", "'' empties a parameter"},
		{"AllowedIdentifiers: [[5]]", "a list may hold texts and numbers only"},
		{"AllowedIdentifiers: &a 5\nEventPattern: *a", "no anchors and aliases"},
		{"WindowsEnabled=true", "WindowsEnabled: true"},
		{"- WindowsEnabled", "WindowsEnabled: true"},
		{"WindowsEnabled: [", "line 1"},
	}
	for _, row := range table {
		if got, err := readParameters([]byte(row.file), declared); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: got %q, %v, want an error with %q", row.file, got, err, row.want)
		}
	}
}

// programs stand in for the SAM CLI and the AWS CLI: they write what they are called
// with. $DEPLOYED is the architecture of the stack that is there, $FAULT what the AWS
// CLI says instead.
const (
	samProgram = `#!/bin/sh
if [ "$1" = --version ]; then echo "SAM CLI, version $SAM_VERSION"; exit; fi
echo "ARCH=$ARCH MAKEFLAGS=$MAKEFLAGS sam $*" >>calls
`
	awsProgram = `#!/bin/sh
echo "aws $1 $2 ${9} ${10}" >>calls
if [ -n "$FAULT" ]; then echo "$FAULT" >&2; exit 254; fi
echo "$DEPLOYED"
`
	noStack = "An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id segura-enable does not exist"
)

// inFolder runs deploy in a folder of its own, and tells what was called.
func inFolder(t *testing.T, parameters string, environment map[string]string, arguments ...string) (calls, passed string, err error) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"sam": samProgram, "aws": awsProgram, "parameters.yaml": parameters,
		"template.yaml": "Parameters:\n  Architecture: {Type: String, Default: arm64}\n  MaxAttempts: {Type: Number, Default: 4}\nConditions: {A: !Equals [a, b]}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if parameters == "" {
		_ = os.Remove("parameters.yaml")
	}
	for name, value := range map[string]string{"SAM_VERSION": "1.152.0", "DEPLOYED": "", "FAULT": "", "MAKEFLAGS": "ARCH=mips"} {
		if given, ok := environment[name]; ok {
			value = given
		}
		t.Setenv(name, value)
	}
	err = run(context.Background(), append([]string{"-sam", "./sam", "-aws", "./aws"}, arguments...))
	return read("calls"), read(filepath.Join(".aws-sam", "parameters.yaml")), err
}

func read(file string) string {
	text, _ := os.ReadFile(file) // there is none where nothing was called
	return string(text)
}

const deployed = "sam deploy --stack-name segura-enable --parameter-overrides file://.aws-sam/parameters.yaml"

func TestDeploy_buildsForWhatIsDeployedAndLeavesItAsItIs(t *testing.T) {
	calls, passed, err := inFolder(t, "MaxAttempts: 3", map[string]string{"DEPLOYED": "x86_64"})

	want := "aws cloudformation describe-stacks  \nARCH=amd64 MAKEFLAGS= sam build --parameter-overrides Architecture=x86_64\nARCH=amd64 MAKEFLAGS= " + deployed + "\n"
	if err != nil || calls != want {
		t.Errorf("got %v and the calls\n%swant\n%s", err, calls, want)
	}
	if passed != "{\n  \"MaxAttempts\": \"3\"\n}" {
		t.Errorf("parameters: got %s", passed)
	}
}

func TestDeploy_architecture(t *testing.T) {
	table := []struct {
		about, parameters, arch string
		environment             map[string]string
		want                    string // that it is built for
		passed                  bool
	}{
		{"no stack yet", "# none", "", map[string]string{"FAULT": noStack}, "arm64", false},
		{"ARCH", "# none", "amd64", map[string]string{"DEPLOYED": "arm64"}, "amd64", true},
		{"in the file", "Architecture: x86_64", "", map[string]string{"DEPLOYED": "arm64"}, "amd64", true},
		{"both, agreed", "Architecture: x86_64", "amd64", nil, "amd64", true},
	}
	for _, row := range table {
		calls, passed, err := inFolder(t, row.parameters, row.environment, "-arch", row.arch)
		if err != nil || !strings.Contains(calls, "ARCH="+row.want+" MAKEFLAGS= sam build --parameter-overrides Architecture=") {
			t.Errorf("%s: got %v and the calls\n%s", row.about, err, calls)
		}
		if strings.Contains(passed, "Architecture") != row.passed {
			t.Errorf("%s: parameters: got %s", row.about, passed)
		}
	}
}

func TestDeploy_looksForTheStackWhereSAMPutsIt(t *testing.T) {
	calls, _, err := inFolder(t, "# none", map[string]string{"DEPLOYED": "arm64"}, "--", "--no-confirm-changeset", "--profile", "operations", "--tags", "team=pam cost=1")

	if err != nil || !strings.Contains(calls, "describe-stacks --profile operations\n") {
		t.Errorf("got %v and the calls\n%s", err, calls)
	}
	if want := deployed + " --no-confirm-changeset --profile operations --tags team=pam cost=1\n"; !strings.HasSuffix(calls, want) {
		t.Errorf("got the calls\n%swant at the end\n%s", calls, want)
	}
}

func TestDeploy_refusesBeforeAnythingIsBuilt(t *testing.T) {
	table := []struct {
		parameters  string
		environment map[string]string
		arch, want  string
	}{
		{"# none", nil, "mips", `ARCH is arm64 or amd64, not "mips"`},
		{"", nil, "", "there is no file parameters.yaml"},
		{"Typo: 1", nil, "", "parameters.yaml: line 1: the template has no parameter Typo"},
		{"Architecture: mips", nil, "", `Architecture is arm64 or x86_64, not "mips"`},
		{"Architecture: x86_64", nil, "arm64", "ARCH=arm64, but parameters.yaml says Architecture: x86_64"},
		{"# none", map[string]string{"SAM_VERSION": "1.151.0"}, "", "1.152.0 or newer is needed"},
		{"# none", map[string]string{"SAM_VERSION": "0.999.9"}, "", "1.152.0 or newer is needed"},
		{"# none", map[string]string{"SAM_VERSION": "nightly"}, "", "which is no version"},
		{"# none", map[string]string{"FAULT": "Unable to locate credentials"}, "", "Unable to locate credentials"},
	}
	for _, row := range table {
		calls, _, err := inFolder(t, row.parameters, row.environment, "-arch", row.arch)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q, ARCH=%s: got %v, want an error with %q", row.parameters, row.arch, err, row.want)
		}
		if strings.Contains(calls, "sam") {
			t.Errorf("%q, ARCH=%s: got the calls\n%s", row.parameters, row.arch, calls)
		}
	}
}
