package credentials

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/logging"
)

// environment reads what the AWS SDK defines for environment variables, as far as a
// function that reads from Secrets Manager has a use for it: Lambda hands out
// credentials in variables only, and has neither configuration files nor the EC2
// metadata service. It keeps the first fault, which names the variable.
//
// The SDK's own reader, package config, links the clients of four services for
// signing in besides, which are a fifth of the binary and a tenth of a cold start.
// Tests hold this one against it, variable by variable.
//
// Source: "Settings reference" of the AWS SDKs and Tools Reference Guide.
type environment struct{ fault error }

// options returns the client's, without the HTTP client.
func (e *environment) options() secretsmanager.Options {
	o := secretsmanager.Options{
		Region:                     first("AWS_REGION", "AWS_DEFAULT_REGION"),
		Credentials:                e.keys(),
		BaseEndpoint:               e.endpoint(),
		RetryMaxAttempts:           e.number("AWS_MAX_ATTEMPTS"),
		RetryMode:                  e.retryMode(),
		DefaultsMode:               e.defaultsMode(),
		AppID:                      os.Getenv("AWS_SDK_UA_APP_ID"),
		AuthSchemePreference:       list("AWS_AUTH_SCHEME_PREFERENCE"),
		DisableClockSkewCorrection: e.isTrue("AWS_DISABLE_CLOCK_SKEW_CORRECTION"),
		Logger:                     logging.Nop{},
	}
	if e.isSet("AWS_USE_FIPS_ENDPOINT") {
		o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateDisabled
		if e.isTrue("AWS_USE_FIPS_ENDPOINT") {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
	}
	if e.isSet("AWS_USE_DUALSTACK_ENDPOINT") {
		o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateDisabled
		if e.isTrue("AWS_USE_DUALSTACK_ENDPOINT") {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	}
	if o.DefaultsMode == aws.DefaultsModeAuto {
		o.RuntimeEnvironment = aws.RuntimeEnvironment{
			EnvironmentIdentifier: aws.ExecutionEnvironmentID(os.Getenv("AWS_EXECUTION_ENV")),
			Region:                o.Region,
		}
	}
	return o
}

// keys returns the credentials, and fails over those that the SDK would find in other
// places: a function without them would be told of its role instead.
func (e *environment) keys() aws.CredentialsProvider {
	keys := aws.Credentials{
		AccessKeyID:     first("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
		SecretAccessKey: first("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
		AccountID:       os.Getenv("AWS_ACCOUNT_ID"),
		Source:          "EnvConfigCredentials",
	}
	elsewhere := []string{"AWS_PROFILE"}
	if !keys.HasKeys() {
		elsewhere = append(elsewhere, "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	}
	for _, name := range elsewhere {
		if e.isSet(name) {
			e.fail("%s is of no use here; unset it, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as Lambda does", name)
		}
	}
	return awscredentials.StaticCredentialsProvider{Value: keys, Source: []aws.CredentialSource{aws.CredentialSourceEnvVars}}
}

func (e *environment) endpoint() *string {
	url := first("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL")
	if e.isTrue("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") || url == "" {
		return nil
	}
	return &url
}

// transport returns the SDK's, with the authorities of AWS_CA_BUNDLE in place of
// the system's where that is set.
func (e *environment) transport() *http.Transport {
	t := awshttp.NewBuildableClient().GetTransport()
	path := os.Getenv("AWS_CA_BUNDLE")
	if path == "" {
		return t
	}
	bundle, err := os.ReadFile(path) //nolint:gosec // the path is the operator's
	if err != nil {
		e.fail("AWS_CA_BUNDLE: %w", err)
		return t
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(bundle) {
		e.fail("AWS_CA_BUNDLE: the file holds no certificate in PEM")
	}
	return t
}

func (e *environment) retryMode() aws.RetryMode {
	text := os.Getenv("AWS_RETRY_MODE")
	if text == "" {
		return ""
	}
	mode, err := aws.ParseRetryMode(text)
	if err != nil {
		e.fail("AWS_RETRY_MODE is neither standard nor adaptive")
	}
	return mode
}

func (e *environment) defaultsMode() aws.DefaultsMode {
	mode := aws.DefaultsModeLegacy
	if text := os.Getenv("AWS_DEFAULTS_MODE"); text != "" && !mode.SetFromString(text) {
		e.fail("AWS_DEFAULTS_MODE is none of the SDK's")
	}
	return mode
}

func (e *environment) number(name string) int {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		e.fail("%s is not a number", name)
	}
	return n
}

func (e *environment) isTrue(name string) bool {
	text := os.Getenv(name)
	if text != "" && !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
		e.fail("%s is neither true nor false", name)
	}
	return strings.EqualFold(text, "true")
}

func (*environment) isSet(name string) bool { return os.Getenv(name) != "" }

func (e *environment) fail(format string, values ...any) {
	if e.fault == nil {
		e.fault = fmt.Errorf("AWS configuration: "+format, values...)
	}
}

// first returns the value of the first of the variables that is set and not empty.
func first(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// list returns what stands between commas.
func list(name string) []string {
	var parts []string
	for part := range strings.SplitSeq(os.Getenv(name), ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
