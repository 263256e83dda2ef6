// Command function is a Lambda function for the tests of the Runtime API: the
// event tells it what to do.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do     string `json:"do"`
	Text   string `json:"text"`
	Bytes  int    `json:"bytes"`
	Number int64  `json:"number"`
}

func main() {
	fmt.Println("init line")
	switch os.Getenv("INIT") {
	case "fail":
		fmt.Fprintln(os.Stderr, "SETTING is not a number")
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	}
	lambda.Start(new(function).handle)
}

type function struct{ met atomic.Int64 }

func (f *function) handle(ctx context.Context, e event) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	fmt.Println("out", lc.AwsRequestID, e.Text)
	fmt.Fprintln(os.Stderr, "err", lc.AwsRequestID, e.Text)
	switch e.Do {
	case "half":
		fmt.Print("half a line ")
	case "fail":
		return nil, messages.InvokeResponse_Error{Type: "Test.Failure", Message: strings.Repeat("x", e.Bytes) + e.Text}
	case "error":
		return nil, errors.New(e.Text)
	case "panic":
		panic(e.Text)
	case "exit":
		os.Exit(7)
	case "sleep":
		d, _ := time.ParseDuration(e.Text)
		time.Sleep(d)
	case "meet": // as many others
		for f.met.Add(1); f.met.Load() < e.Number; {
			time.Sleep(time.Millisecond)
		}
	case "allocate":
		b := make([]byte, e.Bytes)
		for i := range b {
			b[i] = 1
		}
		return len(b), nil
	case "env":
		return os.Environ(), nil
	}
	deadline, _ := ctx.Deadline()
	return json.RawMessage(fmt.Sprintf(`{"text":%q,"pid":%d,"left_ms":%d,"client":%q,"arn":%q,"trace":%q}`,
		e.Text, os.Getpid(), time.Until(deadline).Milliseconds(), lc.ClientContext.Client.AppTitle,
		lc.InvokedFunctionArn, fmt.Sprint(ctx.Value("x-amzn-trace-id")))), nil
}
