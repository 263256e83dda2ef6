// Command window is the function for windows: behind the API, and for schedules,
// EventBridge, direct invocation and the reconciler's schedule.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"segura-enable/internal/config"
	"segura-enable/internal/function"
	"segura-enable/internal/window"
	"segura-enable/internal/windowdoor"
	"segura-enable/internal/windowtable"
)

// version is set where make builds the function.
var version = "devel"

// callsPerWorker is how many calls the first round of a run has for each call that may
// be in flight.
const callsPerWorker = 50

const day = 24 * time.Hour

func main() {
	ctx := context.Background()
	settings, wrong := config.LoadWindows(os.Getenv)
	parts, err := function.New(ctx, version, os.Getenv, os.Stdout, wrong)
	if err != nil {
		os.Exit(1) // it has been logged
	}
	client, err := windowtable.NewDynamoDB(ctx, parts.Config.AttemptTimeout)
	if err != nil {
		parts.Log.ErrorContext(ctx, "the AWS configuration cannot be used", "cause", err.Error())
		os.Exit(1)
	}
	lambda.Start(&windowdoor.Handler{
		Windows: &window.Keeper{
			Table:          &windowtable.Table{DynamoDB: client, Name: settings.Table, Retention: time.Duration(settings.RetentionDays) * day},
			Caller:         parts.Runner,
			Longest:        settings.Longest,
			AttemptTimeout: parts.Config.AttemptTimeout,
			Allowed:        parts.Config.AllowedIdentifiers,
			Guarded:        settings.Guarded,
			FirstCalls:     callsPerWorker * parts.Config.MaxConcurrency,
			Log:            parts.Log,
		},
		Runner:         parts.Runner,
		AllowedSources: parts.Config.AllowedEventSources,
		Telemetry:      parts.Telemetry,
		Log:            parts.Log,
	})
}
