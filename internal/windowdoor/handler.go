// Package windowdoor is the door to windows, for API Gateway and function URLs as for
// EventBridge, schedules and direct invocation. It stands on the two other doors: how
// a request comes and how an answer looks is theirs.
package windowdoor

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"segura-enable/internal/activation"
	"segura-enable/internal/event"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/strictjson"
	"segura-enable/internal/telemetry"
	"segura-enable/internal/window"
)

// maxReply bounds a document in a reply, in bytes, escaping included.
const maxReply = 200 << 10

// Handler handles events and HTTP requests alike. It may be used by several goroutines
// at once.
type Handler struct {
	Windows        *window.Keeper
	Runner         *activation.Runner
	AllowedSources []string // EventBridge sources that may ask; empty: any
	Telemetry      *telemetry.Telemetry
	Log            *slog.Logger
}

// Invoke implements lambda.Handler. For an HTTP request its error is nil; for an event
// it is a function error of one of package event's types.
func (h *Handler) Invoke(ctx context.Context, payload []byte) (reply []byte, err error) {
	ctx, end := h.Telemetry.Begin(ctx)
	defer end()
	if isHTTP(payload) {
		return httpapi.Reply(ctx, h.Log, func() (httpapi.Response, *httpapi.Problem) { return h.serve(ctx, payload) }), nil
	}
	defer func() {
		if p := recover(); p != nil {
			activation.LogPanic(ctx, h.Log, p)
			reply, err = nil, event.Fail(ctx, h.Log, event.InternalError, "Internal error. Report it as a bug, with the log of this invocation.")
		}
	}()
	return h.handle(ctx, payload)
}

// isHTTP reports whether the payload has the context of an HTTP request.
func isHTTP(payload []byte) bool {
	var shape struct {
		RequestContext json.RawMessage `json:"requestContext"`
	}
	return json.Unmarshal(payload, &shape) == nil && shape.RequestContext != nil
}

// document returns a window as JSON text of bounded size: where it would not fit, the
// reasons of its extensions are left out, and then the oldest of them.
func document(r window.Result) []byte {
	shown := r.Window.Show(window.Now(), r.Closed)
	text := strictjson.Encode(shown)
	if escaped(text) <= maxReply {
		return text
	}
	for at := range shown.Extensions {
		shown.Extensions[at].Reason = ""
	}
	for text = strictjson.Encode(shown); escaped(text) > maxReply && len(shown.Extensions) > 0; text = strictjson.Encode(shown) {
		shown.Extensions = shown.Extensions[1:]
	}
	return text
}

// escaped returns the length of text inside a JSON string.
func escaped(text []byte) int { return len(strictjson.Encode(string(text))) - len(`""`) }

// problemOf returns a window's problem as HTTP has it.
func problemOf(p *window.Problem) *httpapi.Problem {
	problem := httpapi.ProblemOf(p.Failure())
	problem.Identifier, problem.Window = p.Identifier, p.Window
	return problem
}

// one returns the only value of a header or of a parameter; empty: there is none.
func one(name string, values []string) (string, *httpapi.Problem) {
	if len(values) > 1 {
		return "", httpapi.Invalid(name + " is given more than once")
	}
	return strings.Join(values, ""), nil
}
