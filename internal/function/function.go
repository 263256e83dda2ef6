// Package function is what the functions share: it reads the environment, wires
// the rooms together and warms them up. It decides nothing about requests.
package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"golang.org/x/time/rate"

	"segura-enable/internal/activation"
	"segura-enable/internal/config"
	"segura-enable/internal/credentials"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
)

// warmUp bounds what start-up does ahead of the first invocation.
const warmUp = 2 * time.Second

// sideConnections are those to Segura beside the calls': the token's.
const sideConnections = 1

// longestPatience is how long Segura has to be silent, at most, to be given up
// for the rest of a request: long enough for a gateway to restart.
const longestPatience = 5 * time.Second

// Parts are what a door is made of.
type Parts struct {
	Config    config.Config
	Runner    *activation.Runner
	Telemetry *telemetry.Telemetry
	Log       *slog.Logger
}

// New reads the environment through getenv, wires the parts, and fetches the AWS
// secret and a token ahead; that no failure of the latter ends start-up is left
// to the first invocation to tell. out is standard output, version the build's.
// wrong are faults of variables that the function has read itself. The error, one line
// that names each variable at fault, has been logged.
func New(ctx context.Context, version string, getenv func(string) string, out io.Writer, wrong ...error) (Parts, error) {
	fitToShare(getenv)
	logger := lambdacontext.NewLogger()
	log.SetFlags(0)
	log.SetOutput(telemetry.StandardLog{Log: logger})
	settings, err := config.Load(getenv)
	if err = errors.Join(append([]error{err}, wrong...)...); err != nil {
		logger.ErrorContext(ctx, "the configuration cannot be used", "cause", strings.ReplaceAll(err.Error(), "\n", "; "))
		return Parts{}, err
	}
	secretsManager, err := credentials.NewSecretsManager(ctx, settings.AttemptTimeout, logger)
	if err != nil {
		logger.ErrorContext(ctx, "the AWS configuration cannot be used", "cause", err.Error())
		return Parts{}, err
	}
	parts := wire(settings, version, secretsManager, logger, telemetry.Options{
		Out:      out,
		Format:   getenv("AWS_LAMBDA_LOG_FORMAT"),
		Level:    getenv("AWS_LAMBDA_LOG_LEVEL"),
		Function: getenv("AWS_LAMBDA_FUNCTION_NAME"),
	})
	log.SetOutput(telemetry.StandardLog{Log: logger, Telemetry: parts.Telemetry})
	logger.InfoContext(ctx, "starting", "version", version)
	parts.warm(ctx)
	return parts, nil
}

// wholeCPU is the memory, in MB, with which Lambda gives a function the time of one CPU.
// Source: AWS's page "Configure Lambda function memory".
const wholeCPU = 1769

// fitToShare has the Go runtime use one thread where Lambda gives at most one CPU's
// time. It shows two CPUs then, and threads that look for work on the second spend the
// time that the first one needs. A GOMAXPROCS that somebody has set stays.
func fitToShare(getenv func(string) string) {
	memory, err := strconv.Atoi(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err == nil && memory <= wholeCPU && getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

func wire(c config.Config, version string, api credentials.SecretsManager, logger *slog.Logger, o telemetry.Options) Parts {
	retry := segura.Retry{MaxAttempts: c.MaxAttempts}
	t := telemetry.New(o)
	source := &credentials.Source{
		SecretsManager: api,
		SecretID:       c.SecretID,
		TTL:            c.CredentialsTTL,
		StalePatience:  c.AttemptTimeout,
		Segura: segura.Options{
			UserAgent:      fmt.Sprintf("segura-enable/%s (AWS Lambda)", version),
			AttemptTimeout: c.AttemptTimeout,
			Retry:          retry,
			Connections:    c.MaxConcurrency*lambdacontext.MaxConcurrency() + sideConnections,
			Redactor:       &segura.Redactor{},
			OnTokenCall:    telemetry.TokenCall,
		},
		Log:        logger,
		OnRead:     telemetry.CredentialRefresh,
		OnUnusable: telemetry.SecretUnusable,
		OnExpiry:   telemetry.AccessKeyExpires,
	}
	return Parts{
		Config: c,
		Runner: &activation.Runner{
			Clients:     source,
			Allowed:     c.AllowedIdentifiers,
			Concurrency: c.MaxConcurrency,
			Retry:       retry,
			Patience:    min(c.AttemptTimeout, longestPatience),
			Pace:        pace(c.CallsPerSecond),
			Telemetry:   t,
			Log:         logger,
		},
		Telemetry: t,
		Log:       logger,
	}
}

// pace returns the limiter of calls begun, with bursts of one second's worth; nil where
// none is asked for.
func pace(perSecond float64) *rate.Limiter {
	if perSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
}

func (p Parts) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(p.Telemetry.CarryOver(ctx), warmUp)
	defer cancel()
	if fault := p.Runner.Warm(ctx); fault != nil {
		p.Log.WarnContext(ctx, "start-up could not obtain a token ahead; the first invocation tries again",
			"code", fault.Code, "cause", fault.Message, "upstream_message", fault.UpstreamMessage)
	}
}
