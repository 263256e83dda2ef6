// Command counter is the event function with one more thing: on standard error,
// it says of each invocation how many objects were allocated for it.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/aws/aws-lambda-go/lambda"

	"segura-enable/internal/event"
	"segura-enable/internal/function"
)

type counter struct{ door *event.Handler }

// Invoke implements lambda.Handler.
func (c counter) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	before := allocations()
	reply, err := c.door.Invoke(ctx, payload)
	fmt.Fprintf(os.Stderr, "allocations %d\n", allocations()-before)
	return reply, err
}

func allocations() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

func main() {
	parts, err := function.New(context.Background(), "1.0.0", os.Getenv, os.Stdout)
	if err != nil {
		os.Exit(1)
	}
	lambda.Start(counter{&event.Handler{Runner: parts.Runner, Telemetry: parts.Telemetry, Log: parts.Log}})
}
