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

// isHTTP reports whether the payload has the context of an HTTP request.
func isHTTP(payload []byte) bool {
	var shape struct {
		RequestContext json.RawMessage `json:"requestContext"`
	}
	return json.Unmarshal(payload, &shape) == nil && shape.RequestContext != nil
}

// document returns a window as JSON text of at most so many bytes, escaping included,
// shortened where it would not fit.
func document(r window.Result, most int) []byte {
	shown := r.Window.Show(window.Now(), r.Closed)
	text := strictjson.Encode(shown)
	for step := 0; httpapi.Escaped(text) > most && shorten(&shown, step); step++ {
		text = strictjson.Encode(shown)
	}
	return text
}

// shorten leaves out, step by step, what the audit log has of errors too, the reasons of
// extensions, and the oldest of them. It reports whether there was anything left to do.
func shorten(w *window.Shown, step int) bool {
	switch {
	case step == 0:
		for at := range w.Identifiers {
			if e := w.Identifiers[at].Error; e != nil {
				w.Identifiers[at].Error = &window.Fault{Code: e.Code, Retryable: e.Retryable}
			}
		}
	case step == 1:
		for at := range w.Extensions {
			w.Extensions[at].Reason = ""
		}
	case len(w.Extensions) == 0:
		return false
	default:
		w.Extensions = w.Extensions[1:]
	}
	return true
}

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
