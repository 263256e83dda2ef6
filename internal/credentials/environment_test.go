package credentials_test

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"segura-enable/internal/credentials"
	local "segura-enable/simulated/secretsmanager"
)

// onlyEnv clears the AWS variables, and sets those of Lambda and the given ones.
func onlyEnv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	all := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": accessKeyID, "AWS_SECRET_ACCESS_KEY": secretAccessKey, "AWS_SESSION_TOKEN": sessionToken}
	maps.Copy(all, env)
	for name, value := range all {
		t.Setenv(name, value)
	}
}

// ofSDK is the client as the SDK's own reader configures it.
func ofSDK(t *testing.T) (*secretsmanager.Client, error) {
	t.Helper()
	config, err := awsconfig.LoadDefaultConfig(t.Context(),
		awsconfig.WithSharedConfigFiles([]string{}),
		awsconfig.WithSharedCredentialsFiles([]string{}),
		awsconfig.WithEC2IMDSClientEnableState(imds.ClientDisabled),
	)
	if err != nil {
		return nil, err
	}
	return secretsmanager.NewFromConfig(config), nil
}

// says is what an environment makes of a client: a line for each setting.
func says(t *testing.T, client *secretsmanager.Client) []string {
	t.Helper()
	o := client.Options()
	keys, err := o.Credentials.Retrieve(t.Context())
	return []string{
		fmt.Sprintf("region %q", o.Region),
		fmt.Sprintf("endpoint %q", aws.ToString(o.BaseEndpoint)),
		fmt.Sprintf("FIPS %d, dual-stack %d", o.EndpointOptions.UseFIPSEndpoint, o.EndpointOptions.UseDualStackEndpoint),
		fmt.Sprintf("credentials %+v, missing: %t", keys, err != nil),
		fmt.Sprintf("retries %d %q, %d attempts by %T", o.RetryMaxAttempts, o.RetryMode, o.Retryer.MaxAttempts(), o.Retryer),
		fmt.Sprintf("defaults %q %+v", o.DefaultsMode, o.RuntimeEnvironment),
		fmt.Sprintf("app %q, schemes %q, clock skew ignored: %t", o.AppID, o.AuthSchemePreference, o.DisableClockSkewCorrection),
	}
}

// The environment means to the function what it means to the AWS SDK.
func TestNewSecretsManager_readsTheEnvironmentAsTheSDKDoes(t *testing.T) {
	rows := []map[string]string{
		{},
		{"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-east-2"},
		{"AWS_DEFAULT_REGION": "us-east-2"},
		{"AWS_REGION": ""},
		{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ACCESS_KEY": "AKIAOLDER", "AWS_SECRET_KEY": "older"},
		{"AWS_ACCESS_KEY": "AKIAOLDER", "AWS_SECRET_KEY": "older", "AWS_ACCOUNT_ID": "123456789012"},
		{"AWS_SESSION_TOKEN": ""},
		{"AWS_ENDPOINT_URL": "https://all.example.com"},
		{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://one.example.com/path"},
		{"AWS_ENDPOINT_URL": "https://all.example.com", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://one.example.com"},
		{"AWS_ENDPOINT_URL": "https://all.example.com", "AWS_ENDPOINT_URL_SECRETS_MANAGER": ""},
		{"AWS_ENDPOINT_URL": "https://all.example.com", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE"},
		{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://one.example.com", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
		{"AWS_ENDPOINT_URL": "https://all.example.com", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "False"},
		{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "1"},
		{"AWS_ENDPOINT_URL_SSO": "https://other.example.com"},
		{"AWS_USE_FIPS_ENDPOINT": "true"},
		{"AWS_USE_FIPS_ENDPOINT": "False"},
		{"AWS_USE_FIPS_ENDPOINT": "yes"},
		{"AWS_USE_DUALSTACK_ENDPOINT": "True"},
		{"AWS_USE_DUALSTACK_ENDPOINT": "false"},
		{"AWS_USE_DUALSTACK_ENDPOINT": "0"},
		{"AWS_MAX_ATTEMPTS": "1"},
		{"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "adaptive"},
		{"AWS_MAX_ATTEMPTS": "0"},
		{"AWS_MAX_ATTEMPTS": "-1"},
		{"AWS_MAX_ATTEMPTS": "many"},
		{"AWS_MAX_ATTEMPTS": "2.5"},
		{"AWS_MAX_ATTEMPTS": "99999999999999999999"},
		{"AWS_RETRY_MODE": "standard"},
		{"AWS_RETRY_MODE": "Adaptive"},
		{"AWS_RETRY_MODE": "legacy"},
		{"AWS_RETRY_MODE": "never"},
		{"AWS_DEFAULTS_MODE": "standard"},
		{"AWS_DEFAULTS_MODE": "In-Region"},
		{"AWS_DEFAULTS_MODE": "cross-region", "AWS_RETRY_MODE": "adaptive"},
		{"AWS_DEFAULTS_MODE": "legacy"},
		{"AWS_DEFAULTS_MODE": "auto", "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023"},
		{"AWS_DEFAULTS_MODE": "fast"},
		{"AWS_SDK_UA_APP_ID": "ours"},
		{"AWS_AUTH_SCHEME_PREFERENCE": "sigv4a, sigv4,,"},
		{"AWS_DISABLE_CLOCK_SKEW_CORRECTION": "true"},
		{"AWS_DISABLE_CLOCK_SKEW_CORRECTION": "false"},
		{"AWS_DISABLE_CLOCK_SKEW_CORRECTION": "perhaps"},
		{"AWS_PROFILE": "nobody"},
		{"AWS_DEFAULT_PROFILE": "nobody"},
		{"AWS_PROFILE": "default"},
		{"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"},
	}
	for _, env := range rows {
		t.Run(fmt.Sprint(env), func(t *testing.T) {
			onlyEnv(t, env)
			want, wantFault := ofSDK(t)

			got, fault := credentials.NewSecretsManager(time.Second)

			if (fault == nil) != (wantFault == nil) {
				t.Fatalf("got error %v, want %v", fault, wantFault)
			}
			if fault != nil {
				for name, value := range env {
					if !strings.HasPrefix(fault.Error(), "AWS configuration: "+name) || strings.Contains(fault.Error(), " "+value) {
						t.Errorf("got %q, want it to name %s and to repeat no value", fault, name)
					}
				}
				return
			}
			if a, b := says(t, got), says(t, want); !slices.Equal(a, b) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
		})
	}
}

// Where the SDK would fetch credentials from a place that this function does not
// know, start-up says so; where there are keys, they win, as in the SDK.
func TestNewSecretsManager_namesCredentialsThatItDoesNotRead(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_WEB_IDENTITY_TOKEN_FILE":            "/var/run/token",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     "http://127.0.0.1/credentials",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/credentials",
	} {
		onlyEnv(t, map[string]string{name: value})
		if _, err := credentials.NewSecretsManager(time.Second); err != nil {
			t.Errorf("%s beside keys: got error %v", name, err)
		}

		onlyEnv(t, map[string]string{name: value, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
		_, err := credentials.NewSecretsManager(time.Second)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") || strings.Contains(err.Error(), value) {
			t.Errorf("%s without keys: got error %v", name, err)
		}
		t.Setenv(name, "")
	}
}

func TestNewSecretsManager_withoutKeysMakesAClientThatHasNone(t *testing.T) {
	onlyEnv(t, map[string]string{"AWS_ACCESS_KEY_ID": ""})

	client, err := credentials.NewSecretsManager(time.Second)

	if err != nil {
		t.Fatal(err)
	}
	if keys, err := client.Options().Credentials.Retrieve(t.Context()); err == nil {
		t.Errorf("got %+v", keys)
	}
}

func TestNewSecretsManager_trustsTheAuthoritiesOfTheBundleAndNoOthers(t *testing.T) {
	dir := t.TempDir()
	pair := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer pair.Close()
	server, err := local.Start(t.Context(), local.Options{Certificate: &pair.TLS.Certificates[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Put("segura/mysafe-key", secret("bundle"))
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	right := write("right.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate().Raw})))
	empty := write("empty.pem", "no certificate here")

	for _, row := range []struct {
		bundle            string
		starts, isTrusted bool
	}{{right, true, true}, {"", true, false}, {empty, false, false}, {dir, false, false}} {
		onlyEnv(t, map[string]string{"AWS_CA_BUNDLE": row.bundle, "AWS_ENDPOINT_URL_SECRETS_MANAGER": server.URL(), "AWS_MAX_ATTEMPTS": "1"})
		client, err := credentials.NewSecretsManager(5 * time.Second)
		if (err == nil) != row.starts {
			t.Errorf("%q: got error %v, starts: %t", row.bundle, err, row.starts)
		}
		if err != nil {
			continue
		}
		_, err = client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("segura/mysafe-key")})
		if (err == nil) != row.isTrusted {
			t.Errorf("%q: got error %v, trusted: %t", row.bundle, err, row.isTrusted)
		}
	}
}
