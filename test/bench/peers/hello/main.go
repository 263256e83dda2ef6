// Command hello does nothing: it is the floor, what the runtime library of Lambda
// costs by itself.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) (string, error) { return "hello", nil })
}
