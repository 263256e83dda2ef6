package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/logging"

	"segura-enable/internal/segura"
)

// maxReply bounds a reply of Secrets Manager, in bytes; a secret has at most
// 64 KiB.
const maxReply = 1 << 20

// NewSecretsManager returns a client of AWS Secrets Manager, configured as the AWS
// SDK defines it. The error is one of configuration, names the variable, and can be
// shown; what the SDK passes by without a word is logged.
func NewSecretsManager(ctx context.Context, attemptTimeout time.Duration, log *slog.Logger) (*secretsmanager.Client, error) {
	c, err := loadConfig(ctx)
	var noProfile config.SharedConfigProfileNotExistError
	if errors.As(err, &noProfile) && os.Getenv("AWS_ACCESS_KEY_ID") != "" && os.Getenv("AWS_SECRET_ACCESS_KEY") != "" {
		// A stray variable: the keys are Lambda's, and there are no profiles.
		_ = os.Unsetenv("AWS_PROFILE")
		c, err = loadConfig(ctx)
	}
	switch {
	case err == nil:
	case errors.As(err, &noProfile):
		return nil, fmt.Errorf("AWS configuration: AWS_PROFILE: %w", err)
	case os.Getenv("AWS_CA_BUNDLE") != "" && !strings.Contains(err.Error(), "AWS_"):
		return nil, fmt.Errorf("AWS configuration: AWS_CA_BUNDLE: %w", err)
	default:
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	buildable, ok := c.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, errors.New("AWS configuration: the SDK has an HTTP client of another kind")
	}
	c.HTTPClient = &httpClient{http.Client{
		Transport:     buildable.GetTransport(), // with the authorities of AWS_CA_BUNDLE
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	warnOfBundle(ctx, log)
	client := secretsmanager.NewFromConfig(c)
	if err := checkEndpoint(aws.ToString(client.Options().BaseEndpoint)); err != nil {
		return nil, err
	}
	return client, nil
}

// checkEndpoint refuses an endpoint that the SDK takes and then cannot call.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if endpoint == "" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" {
		return nil
	}
	variable := "AWS_ENDPOINT_URL"
	if os.Getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER") != "" {
		variable = "AWS_ENDPOINT_URL_SECRETS_MANAGER"
	}
	return fmt.Errorf("AWS configuration: %s is not a URL with https:// and a host", variable)
}

// warnOfBundle names the blocks of AWS_CA_BUNDLE that the SDK leaves out.
func warnOfBundle(ctx context.Context, log *slog.Logger) {
	path := os.Getenv("AWS_CA_BUNDLE")
	if path == "" {
		return
	}
	bundle, err := os.ReadFile(path) //nolint:gosec // G304: the path is the operator's.
	if err != nil {
		return // the SDK has read it
	}
	if _, leftOut, err := segura.ReadCertificates(string(bundle)); err != nil {
		log.WarnContext(ctx, "a part of AWS_CA_BUNDLE is not used", "cause", err.Error())
	} else if len(leftOut) > 0 {
		log.WarnContext(ctx, "a part of AWS_CA_BUNDLE is not used", "blocks", leftOut)
	}
}

func loadConfig(ctx context.Context) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(awshttp.NewBuildableClient()),
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled), // Lambda has none
		config.WithLogger(logging.Nop{}),                         // its lines are no JSON
	)
}

// httpClient notes attempts that fail on their own, and bounds what is read.
type httpClient struct{ http http.Client }

var _ aws.HTTPClient = (*httpClient)(nil)

// Do implements aws.HTTPClient.
func (c *httpClient) Do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil {
		note(request.Context())
		return nil, err
	}
	if response.StatusCode >= 500 {
		note(request.Context())
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxReply), response.Body}
	return response, nil
}

// attemptFailedKey is the key of an *atomic.Bool: whether an attempt of one read failed
// while there was time left.
type attemptFailedKey struct{}

func note(ctx context.Context) {
	if failed, ok := ctx.Value(attemptFailedKey{}).(*atomic.Bool); ok && ctx.Err() == nil {
		failed.Store(true)
	}
}
