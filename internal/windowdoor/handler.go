// Package windowdoor is the door to windows, for API Gateway and function URLs as for
// EventBridge, schedules and direct invocation. It stands on the two other doors: how
// a request comes and how an answer looks is theirs.
package windowdoor

import (
	"context"
	"encoding/json"
	"log/slog"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/event"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/strictjson"
	"segura-enable/internal/telemetry"
	"segura-enable/internal/window"
)

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
	ctx, cancel := activation.Reserve(ctx, 0) // also where the table does not answer at all
	defer cancel()
	if isHTTP(payload) {
		return httpapi.Reply(ctx, h.Log, func() (httpapi.Response, *httpapi.Problem) { return h.serve(ctx, payload) }), nil
	}
	defer func() {
		if p := recover(); p != nil {
			activation.LogPanic(ctx, h.Log, p)
			reply, err = nil, event.Fail(ctx, h.Log, event.InternalError, apisecret.NewError(apisecret.InternalError, "").Message)
		}
	}()
	return h.handle(ctx, payload)
}

// isHTTP reports whether the payload has the context of an HTTP request. That of a record
// that Lambda sends to a destination names a function.
func isHTTP(payload []byte) bool {
	var shape struct {
		RequestContext *struct {
			FunctionARN string `json:"functionArn"`
		} `json:"requestContext"`
	}
	return json.Unmarshal(payload, &shape) == nil && shape.RequestContext != nil && shape.RequestContext.FunctionARN == ""
}

// document returns a window as JSON text of at most so many bytes, escaping included. Where
// it would not fit, what the audit log has of errors too and the reasons of extensions are
// left out, and then the oldest extensions.
func document(w window.Window, most int) []byte {
	shown := w.Show(window.Now())
	text := strictjson.Encode(shown)
	if httpapi.Escaped(text) <= most {
		return text
	}
	for at := range shown.Identifiers {
		if e := shown.Identifiers[at].Error; e != nil {
			shown.Identifiers[at].Error = &window.Fault{Code: e.Code, Retryable: e.Retryable}
		}
	}
	for at := range shown.Extensions {
		shown.Extensions[at].Reason = ""
	}
	for text = strictjson.Encode(shown); httpapi.Escaped(text) > most && len(shown.Extensions) > 0; text = strictjson.Encode(shown) {
		shown.Extensions = shown.Extensions[1:]
	}
	return text
}

// problemOf returns a window's problem as HTTP has it.
func problemOf(p *window.Problem) *httpapi.Problem {
	problem := httpapi.ProblemOf(p.Failure)
	problem.Identifier, problem.Window = p.Identifier, p.Window
	return problem
}
