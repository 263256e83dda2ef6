// Package httpapi is the door for API Gateway and Lambda function URLs: it opens
// the HTTP request inside their events, has it carried out, and closes the
// result into an HTTP response. It answers whatever comes, and never with a
// function error.
package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
)

// MaxIdentifiers is how many identifiers one HTTP request may hold.
const MaxIdentifiers = 100

// maxResult bounds a response's body, escaping included, in bytes.
const maxResult = 200 << 10

// Door handles HTTP requests. It may be used by several goroutines at once.
type Door struct {
	Runner    *activation.Runner
	Telemetry *telemetry.Telemetry
	Log       *slog.Logger
}

// response is what API Gateway and function URLs turn into an HTTP response.
type response struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// Invoke implements lambda.Handler; its error is always nil.
func (d *Door) Invoke(ctx context.Context, payload []byte) (reply []byte, _ error) {
	ctx, end := d.Telemetry.Begin(ctx)
	defer end()
	defer func() {
		if p := recover(); p != nil {
			activation.LogPanic(ctx, d.Log, p)
			reply = encode(finish(ctx, problemFor(apisecret.NewError(apisecret.InternalError, "")).render(requestID(ctx))))
		}
	}()
	return encode(finish(ctx, d.answer(ctx, payload))), nil
}

// answer carries out the request in the payload.
func (d *Door) answer(ctx context.Context, payload []byte) response {
	call, problem := open(payload)
	if problem != nil {
		d.Log.WarnContext(ctx, "the HTTP request was refused", "status", problem.Status, "cause", problem.Detail)
		return problem.render(requestID(ctx))
	}
	result := d.Runner.Run(ctx, call.request, telemetry.Origin{Source: "api", Caller: call.caller})
	if !call.request.Single {
		return several(result)
	}
	return one(result.Items[0], requestID(ctx))
}

// one answers for one identifier, with the item or a problem; id is the request's.
func one(item apisecret.Item, id string) response {
	if item.Error == nil {
		return response{StatusCode: http.StatusOK, Headers: contentType("application/json"), Body: string(encode(item))}
	}
	problem := problemFor(item.Error)
	problem.Identifier = item.Identifier
	return problem.render(id)
}

// several answers for several identifiers, with the result document.
func several(result apisecret.Result) response {
	status := http.StatusOK
	if result.Outcome() != apisecret.Succeeded {
		status = http.StatusMultiStatus
	}
	body := result.Document(maxResult, func(text []byte) int { return len(encode(string(text))) - len(`""`) })
	return response{StatusCode: status, Headers: contentType("application/json"), Body: string(body)}
}

func contentType(value string) map[string]string { return map[string]string{"Content-Type": value} }

// finish sets the headers that every response has.
func finish(ctx context.Context, r response) response {
	r.Headers["Cache-Control"] = "no-store"
	r.Headers["X-Request-Id"] = requestID(ctx)
	return r
}

func requestID(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}

// encode returns v as JSON text. Only types that always encode are passed to it.
func encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
