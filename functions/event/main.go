// Command event is the function for EventBridge, Step Functions and direct
// invocation.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"segura-enable/internal/event"
	"segura-enable/internal/function"
)

// version is set where make builds the function.
var version = "devel"

func main() {
	parts, err := function.New(context.Background(), version, os.Getenv, os.Stdout)
	if err != nil {
		os.Exit(1) // it has been logged
	}
	lambda.Start(&event.Handler{
		Runner:         parts.Runner,
		Defaults:       parts.Config.DefaultIdentifiers,
		AllowedSources: parts.Config.AllowedEventSources,
		Telemetry:      parts.Telemetry,
		Log:            parts.Log,
	})
}
