// Command api is the function behind API Gateway and Lambda function URLs.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"segura-enable/internal/function"
	"segura-enable/internal/httpapi"
)

// version is set when the function is built for deployment.
var version = "1.0.0"

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
