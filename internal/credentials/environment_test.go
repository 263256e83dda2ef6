package credentials_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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

// What the SDK defines is read by the SDK; here is what a function depends on.
func TestNewSecretsManager_isConfiguredAsTheSDKDefinesIt(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(profile, []byte("[profile other]\nregion = eu-north-1\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"AccessKeyId": "ASIACONTAINER", "SecretAccessKey": "x", "Token": "y", "Expiration": "2099-01-01T00:00:00Z"}`))
	}))
	defer container.Close()
	none := map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(none)
		maps.Copy(all, more)
		return all
	}
	for name, row := range map[string]struct {
		env  map[string]string
		want string
	}{
		"Lambda's":                     {nil, "eu-west-1 " + accessKeyID},
		"a stray profile beside keys":  {map[string]string{"AWS_PROFILE": "nobody"}, "eu-west-1 " + accessKeyID},
		"a profile":                    {with(map[string]string{"AWS_PROFILE": "other", "AWS_CONFIG_FILE": profile, "AWS_REGION": ""}), "eu-north-1 AKIAOTHER"},
		"a container's endpoint":       {with(map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.URL}), "eu-west-1 ASIACONTAINER"},
		"no credentials":               {none, "eu-west-1 none"},
		"the endpoint and the retries": {map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://one.example.com/path", "AWS_MAX_ATTEMPTS": "7"}, "eu-west-1 " + accessKeyID + " https://one.example.com/path 7"},
	} {
		t.Run(name, func(t *testing.T) {
			onlyEnv(t, row.env)

			client, err := credentials.NewSecretsManager(t.Context(), time.Second, slog.New(slog.DiscardHandler))

			if err != nil {
				t.Fatal(err)
			}
			o := client.Options()
			got := o.Region + " none"
			if keys, err := o.Credentials.Retrieve(t.Context()); err == nil {
				got = o.Region + " " + keys.AccessKeyID
			}
			if o.BaseEndpoint != nil {
				got += fmt.Sprintf(" %s %d", *o.BaseEndpoint, o.Retryer.MaxAttempts())
			}
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestNewSecretsManager_namesTheVariableThatCannotBeUsed(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_MAX_ATTEMPTS": "many", "AWS_RETRY_MODE": "never", "AWS_DEFAULTS_MODE": "fast", "AWS_USE_FIPS_ENDPOINT": "yes",
		"AWS_USE_DUALSTACK_ENDPOINT": "0", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "1", "AWS_CA_BUNDLE": "/nonexistent.pem", "AWS_PROFILE": "nobody",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": "localhost:4566", "AWS_ENDPOINT_URL": "vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com",
	} {
		env := map[string]string{name: value}
		if name == "AWS_PROFILE" {
			env["AWS_ACCESS_KEY_ID"] = ""
		}
		onlyEnv(t, env)

		_, err := credentials.NewSecretsManager(t.Context(), time.Second, slog.New(slog.DiscardHandler))

		if err == nil || !strings.HasPrefix(err.Error(), "AWS configuration: ") || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: got %v, want one line that names it", name, value, err)
		}
		t.Setenv(name, "")
	}
}

func TestNewSecretsManager_warnsOfWhatTheSDKLeavesOutOfABundle(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	pair.Close()
	good := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate().Raw}))
	for bundle, want := range map[string]string{
		good:              "",
		good + good[:200]: "block 2 is cut",
		good + "-----BEGIN X-----\nAAAA\n-----END X-----\n": "block 2, which is no certificate",
	} {
		path := filepath.Join(t.TempDir(), "bundle.pem")
		if err := os.WriteFile(path, []byte(bundle), 0o600); err != nil {
			t.Fatal(err)
		}
		onlyEnv(t, map[string]string{"AWS_CA_BUNDLE": path})
		var log bytes.Buffer

		_, err := credentials.NewSecretsManager(t.Context(), time.Second, slog.New(slog.NewTextHandler(&log, nil)))

		if got := log.String(); err != nil || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("got %v and the log %q, want %q in it", err, got, want)
		}
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
		client, err := credentials.NewSecretsManager(t.Context(), 5*time.Second, slog.New(slog.DiscardHandler))
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
