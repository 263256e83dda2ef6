package credentials

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// maxReply bounds a reply of Secrets Manager, in bytes; a secret has at most
// 64 KiB.
const maxReply = 1 << 20

// NewSecretsManager returns a client of AWS Secrets Manager, configured by the
// environment as the AWS SDK defines it, but with credentials from variables alone.
// The error is one of configuration and can be shown.
func NewSecretsManager(attemptTimeout time.Duration) (*secretsmanager.Client, error) {
	e := &environment{}
	options := e.options()
	options.HTTPClient = &httpClient{http.Client{
		Transport:     e.transport(),
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if e.fault != nil {
		return nil, e.fault
	}
	return secretsmanager.New(options), nil
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

// attempts tells whether an attempt of one read failed while there was time left.
type attempts struct{ n atomic.Int32 }

func (a *attempts) failed() bool { return a.n.Load() > 0 }

type attemptsKey struct{}

func withAttempts(ctx context.Context) (context.Context, *attempts) {
	a := &attempts{}
	return context.WithValue(ctx, attemptsKey{}, a), a
}

func note(ctx context.Context) {
	if a, ok := ctx.Value(attemptsKey{}).(*attempts); ok && ctx.Err() == nil {
		a.n.Add(1)
	}
}
