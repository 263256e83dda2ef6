// Package httpapi is the door for API Gateway and Lambda function URLs: it opens
// the HTTP request inside their events, has it carried out, and closes the
// result into an HTTP response. It answers whatever comes, and never with a
// function error.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
	"segura-enable/internal/telemetry"
)

// MaxIdentifiers is how many identifiers one HTTP request may hold.
const MaxIdentifiers = 100

// MaxResult bounds a response's body as Escaped measures it, in bytes.
const MaxResult = 200 << 10

// Escaped returns the length of text inside a JSON string, where a body is.
func Escaped(text []byte) int { return len(strictjson.Encode(string(text))) - len(`""`) }

// Handler handles HTTP requests. It may be used by several goroutines at once.
type Handler struct {
	Runner    *activation.Runner
	Telemetry *telemetry.Telemetry
	Log       *slog.Logger
}

// Response is what API Gateway and function URLs turn into an HTTP response.
type Response struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// Invoke implements lambda.Handler; its error is always nil.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, end := h.Telemetry.Begin(ctx)
	defer end()
	return Reply(ctx, h.Log, func() (Response, *Problem) { return h.answer(ctx, payload) }), nil
}

// answer carries out the request in the payload.
func (h *Handler) answer(ctx context.Context, payload []byte) (Response, *Problem) {
	r, problem := Read(payload, collection)
	if problem != nil {
		return Response{}, problem
	}
	request, problem := r.request()
	if problem != nil {
		return Response{}, problem
	}
	result := h.Runner.Run(ctx, request, telemetry.Origin{Source: "api", Caller: r.Caller})
	if !request.Single {
		return several(result), nil
	}
	return one(result.Items[0], telemetry.RequestID(ctx)), nil
}

// one answers for one identifier, with the item or a problem; id is the request's.
func one(item apisecret.Item, id string) Response {
	if item.Error == nil {
		return JSON(http.StatusOK, strictjson.Encode(item))
	}
	problem := ProblemOf(item.Error)
	problem.Identifier = item.Identifier
	return problem.render(id)
}

// several answers for several identifiers, with the result document.
func several(result apisecret.Result) Response {
	status := http.StatusOK
	if result.Outcome() != apisecret.Succeeded {
		status = http.StatusMultiStatus
	}
	return JSON(status, result.Document(MaxResult, Escaped))
}

// finish sets the headers that every response has.
func finish(ctx context.Context, r Response) Response {
	r.Headers["Cache-Control"] = "no-store"
	r.Headers["X-Request-Id"] = telemetry.RequestID(ctx)
	return r
}
