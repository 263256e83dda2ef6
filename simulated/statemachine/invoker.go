package statemachine

import (
	"context"
	"fmt"

	"segura-enable/simulated/runtimeapi"
)

// functionARN stands for EventFunction in the definitions.
const functionARN = "arn:aws:lambda:eu-west-1:123456789012:function:EventFunction"

// InvokerOf makes [Services].Invoke of a function that runs here: its errors are
// named as Step Functions names them.
func InvokerOf(f *runtimeapi.Function) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		invocation, err := f.Invoke(ctx, payload)
		switch {
		case err != nil:
			return nil, fmt.Errorf("invoke the function: %w", err)
		case invocation.FunctionError:
			return nil, &Error{invocation.ErrorType, string(invocation.Payload)}
		}
		return invocation.Payload, nil
	}
}
