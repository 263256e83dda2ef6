// Command api is the function behind API Gateway and Lambda function URLs.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"segura-enable/internal/function"
	"segura-enable/internal/httpapi"
)

// version is set where make builds the function.
var version = "devel"

func main() {
	parts, err := function.New(context.Background(), version, os.Getenv, os.Stdout)
	if err != nil {
		os.Exit(1) // it has been logged
	}
	lambda.Start(&httpapi.Handler{
		Runner:    parts.Runner,
		Telemetry: parts.Telemetry,
		Log:       parts.Log,
	})
}
