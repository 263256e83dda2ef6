// Package credentials keeps the Segura client credentials that it reads from AWS
// Secrets Manager. What they mean on the wire is left to package segura.
package credentials

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/flight"
	"segura-enable/internal/segura"
)

// SecretsManager is the one call of AWS Secrets Manager that this package makes.
type SecretsManager interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Source hands out a Segura client made of the AWS secret, reading it when it
// must. It may be used by several goroutines at once.
type Source struct {
	SecretsManager SecretsManager
	SecretID       string        // name or ARN
	TTL            time.Duration // how long a read secret is used without reading it again
	StalePatience  time.Duration // how long a caller waits for a read while an expired copy is at hand
	Segura         segura.Options
	Log            *slog.Logger
	OnRead         func(context.Context)            // told of each read; may be nil
	OnUnusable     func(context.Context)            // told of each read that found a document that cannot be used; may be nil
	OnExpiry       func(context.Context, time.Time) // told, with each client, when its access key expires, where the AWS secret says so; may be nil

	mu      sync.Mutex
	current copyOfSecret
	reading flight.Group[*segura.Client]
}

// copyOfSecret is what the last successful read found; without a client it is
// none.
type copyOfSecret struct {
	document    [sha256.Size]byte // its digest
	credentials [sha256.Size]byte // theirs, once mended
	client      *segura.Client
	keyExpires  time.Time // zero: the document does not say
	readAt      time.Time // on the wall clock: Lambda freezes the process, and with it the monotonic one
	rereadAt    time.Time // not before, once it has expired
}

// Client returns a client made of the AWS secret. An expired copy of it goes on
// being used while reading it again fails with a retryable fault or finds a document
// that cannot be used, and is read again after rereadAfter; a denial or a deletion
// ends its use.
func (s *Source) Client(ctx context.Context) (*segura.Client, *apisecret.Error) {
	client, fault := s.client(ctx)
	if expires := s.held().keyExpires; client != nil && !expires.IsZero() && s.OnExpiry != nil {
		s.OnExpiry(ctx, expires)
	}
	return client, fault
}

func (s *Source) client(ctx context.Context) (*segura.Client, *apisecret.Error) {
	held := s.held()
	now := time.Now().Round(0)
	switch {
	case held.client == nil:
		return s.Reread(ctx)
	case now.Sub(held.readAt) < s.TTL || now.Before(held.rereadAt):
		return held.client, nil
	}
	bounded, cancel := context.WithTimeout(ctx, s.patience(ctx))
	defer cancel()
	client, fault := s.Reread(bounded)
	if fault != nil && s.held().client != nil {
		s.Log.WarnContext(ctx, "the AWS secret could not be read again, its expired copy is used", "code", fault.Code, "cause", fault.Message)
		return held.client, nil
	}
	return client, fault
}

// rereadAfter is how long an expired copy is used after it could not be read again,
// so that not every invocation waits for a Secrets Manager that hangs.
const rereadAfter = 30 * time.Second

// patience bounds the wait for a read when an expired copy would do: a third of
// the time left, so that the call itself can still be made.
func (s *Source) patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(s.StalePatience, time.Until(deadline)/3)
	}
	return s.StalePatience
}

// Reread reads the AWS secret whatever the cache holds, one read at a time
// however many callers wait. If it has not changed, the client is the same one
// as before.
func (s *Source) Reread(ctx context.Context) (*segura.Client, *apisecret.Error) {
	client, err := s.reading.Do(ctx, func(ctx context.Context) (*segura.Client, error) {
		client, fault := s.read(ctx)
		if fault != nil {
			return nil, fault
		}
		return client, nil
	})
	var fault *apisecret.Error
	switch {
	case err == nil:
		return client, nil
	case errors.As(err, &fault):
		return nil, fault
	default:
		return nil, timeRanOut()
	}
}

func (s *Source) held() copyOfSecret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *Source) hold(c copyOfSecret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = c
}

func (s *Source) read(ctx context.Context) (*segura.Client, *apisecret.Error) {
	if s.OnRead != nil {
		s.OnRead(ctx)
	}
	document, fault := s.fetch(ctx)
	if fault == nil {
		var client *segura.Client
		if client, fault = s.use(ctx, document); fault == nil {
			return client, nil
		}
		s.Log.ErrorContext(ctx, "the AWS secret cannot be used", "code", fault.Code, "cause", fault.Message)
		if s.OnUnusable != nil {
			s.OnUnusable(ctx)
		}
	}
	held := s.held()
	held.rereadAt = time.Now().Round(0).Add(rereadAfter)
	if !fault.Retryable && fault.Cause != apisecret.SecretUnusable {
		held = copyOfSecret{}
	}
	s.hold(held)
	return nil, fault
}

// fetch reads the AWS secret's document.
func (s *Source) fetch(ctx context.Context) ([]byte, *apisecret.Error) {
	failed := &atomic.Bool{}
	ctx = context.WithValue(ctx, attemptFailedKey{}, failed)
	output, err := s.SecretsManager.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(s.SecretID)})
	if err != nil {
		fault, cause := readFault(ctx, err, failed.Load())
		level := slog.LevelWarn
		if !fault.Retryable {
			level = slog.LevelError // no log level but FATAL may hide what sayOther refers to
		}
		s.Log.Log(ctx, level, "the AWS secret could not be read", "code", fault.Code, "aws_error", cause)
		return nil, fault
	}
	if output.SecretString != nil {
		return []byte(*output.SecretString), nil
	}
	return output.SecretBinary, nil
}

// use makes a client of the document, or keeps the one there is if the credentials
// have not changed.
func (s *Source) use(ctx context.Context, document []byte) (*segura.Client, *apisecret.Error) {
	d, err := Parse(document)
	if err != nil {
		return nil, unusable(err)
	}
	held := s.held()
	next := copyOfSecret{
		document: sha256.Sum256(document), credentials: d.Credentials.Digest(), client: held.client,
		keyExpires: d.Expires, readAt: time.Now().Round(0),
	}
	if held.client == nil || held.credentials != next.credentials {
		if next.client, err = segura.New(d.Credentials, s.Segura); err != nil {
			return nil, unusable(err)
		}
		if leftOut := next.client.LeftOut(); len(leftOut) > 0 {
			s.Log.WarnContext(ctx, "a part of ca_certificate in the AWS secret is not used", "blocks", leftOut)
		}
		if held.client != nil {
			held.client.Close()
		}
	}
	changed := next.document != held.document
	if changed && len(d.Mended) > 0 {
		s.Log.WarnContext(ctx, "the AWS secret was damaged by a copy and has been mended; store it again without what stands around or in the fields", "fields", d.Mended)
	}
	if changed && d.NoExpiry != nil {
		s.Log.WarnContext(ctx, "the AWS secret does not say when its access key expires", "cause", d.NoExpiry.Error())
	}
	s.hold(next)
	return next.client, nil
}
