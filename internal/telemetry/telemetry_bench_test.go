package telemetry_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
)

var benchOptions = telemetry.Options{Out: io.Discard, Format: "JSON", Level: "INFO", Function: "EventFunction"}

func BenchmarkTelemetry_Audit(b *testing.B) {
	t := telemetry.New(benchOptions)
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: request})
	entry := telemetry.Entry{
		Origin: telemetry.Origin{Source: "api", Caller: "arn:aws:sts::123456789012:assumed-role/operations/alice"},
		Action: apisecret.Enable, Reason: "CHG0012345", Duration: 21 * time.Millisecond,
		Item:       apisecret.Item{Identifier: 5, Outcome: apisecret.Enabled, Attempts: 1},
		HTTPStatus: 200, UpstreamRequest: "c68301a56463ee37394b609510cade69", UpstreamMessage: "Api secret activated successfully",
	}
	b.ReportAllocs()
	for b.Loop() {
		t.Audit(ctx, entry)
	}
}

// What the metrics of an invocation with one identifier cost.
func BenchmarkTelemetry_Begin(b *testing.B) {
	t := telemetry.New(benchOptions)
	outer := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: request})
	item := apisecret.Item{Identifier: 5, Outcome: apisecret.Enabled, Attempts: 1}
	b.ReportAllocs()
	for b.Loop() {
		ctx, end := t.Begin(outer)
		telemetry.Call(ctx, 21*time.Millisecond)
		telemetry.Done(ctx, item)
		end()
	}
}
