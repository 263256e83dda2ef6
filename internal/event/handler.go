// Package event is the door for EventBridge, Step Functions and direct
// invocation: it opens what they send, has it carried out, and closes the result
// again, as the function's result or as a function error that retries, queues
// and state machines understand.
package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
)

// The types of function errors. State machines match them.
const (
	InvalidRequest = telemetry.ErrorTypePrefix + "InvalidRequest" // cannot be understood or is not accepted; nothing was sent
	TransientError = telemetry.ErrorTypePrefix + "TransientError" // at least one failure is worth another try
	PermanentError = telemetry.ErrorTypePrefix + "PermanentError" // no failure is
	CheckFailed    = telemetry.ErrorTypePrefix + "CheckFailed"    // the self-check did not pass
	InternalError  = telemetry.ErrorTypePrefix + "InternalError"  // a fault of ours before there was a result
)

// Limits of what is posted, escaping included, in bytes: asynchronous
// destinations take 256 KiB, and Step Functions cuts the cause of a function
// error at 32,768 characters.
const (
	maxResult     = 200 << 10
	maxError      = 30 << 10
	errorOverhead = len(`{"errorMessage":"","errorType":"` + TransientError + `"}`)
)

// Handler handles events. It may be used by several goroutines at once.
type Handler struct {
	Runner         *activation.Runner
	Defaults       []apisecret.Identifier // what a scheduled event without detail enables
	AllowedSources []string               // EventBridge sources that may ask; empty: any
	Telemetry      *telemetry.Telemetry
	Log            *slog.Logger
}

// Invoke implements lambda.Handler. Its errors are function errors whose type is
// one of the constants of this package.
func (h *Handler) Invoke(ctx context.Context, payload []byte) (reply []byte, err error) {
	ctx, end := h.Telemetry.Begin(ctx)
	defer end()
	defer func() {
		if p := recover(); p != nil {
			activation.LogPanic(ctx, h.Log, p)
			reply, err = nil, h.functionError(ctx, InternalError, apisecret.NewError(apisecret.InternalError, "").Message)
		}
	}()
	document, origin, err := h.open(payload)
	switch {
	case err != nil:
		return nil, h.functionError(ctx, InvalidRequest, err.Error())
	case document.Check:
		return h.check(ctx)
	}
	result := h.Runner.Run(ctx, document.Request, origin)
	if result.Outcome() == apisecret.Succeeded {
		return result.Document(maxResult, func(text []byte) int { return len(text) }), nil
	}
	kind := PermanentError
	if result.Retryable() {
		kind = TransientError
	}
	return nil, h.functionError(ctx, kind, string(result.Document(maxError-errorOverhead, escaped)))
}

func (h *Handler) check(ctx context.Context) ([]byte, error) {
	result := h.Runner.Check(ctx)
	text, err := result.Document()
	if err != nil {
		return nil, fmt.Errorf("self-check: %w", err)
	}
	h.Log.InfoContext(ctx, "self-check", "outcome", result.Check)
	if result.Check != activation.Passed {
		return nil, h.functionError(ctx, CheckFailed, string(text))
	}
	return text, nil
}

// functionError logs that the invocation ends in an error, without the document,
// and returns the error. It is returned by value and unwrapped, since the
// runtime library takes the type from it only then.
func (h *Handler) functionError(ctx context.Context, kind, message string) error {
	attributes := []any{"errorType", kind}
	if kind == InvalidRequest {
		attributes = append(attributes, "cause", message)
	}
	h.Log.ErrorContext(ctx, "the invocation ended in a function error", attributes...)
	// The runtime library repeats the error in a header, which cannot carry DEL;
	// encoding/json does not escape it.
	return messages.InvokeResponse_Error{Type: kind, Message: strings.ReplaceAll(message, "\x7f", "")}
}

// escaped returns the length of text inside a JSON string, escaped as the
// runtime library does it.
func escaped(text []byte) int {
	quoted, err := json.Marshal(string(text))
	if err != nil {
		return len(text) * 6 // the longest escape of a byte
	}
	return len(quoted) - len(`""`)
}

// form is what a document may hold here.
func form(ignoreUnknown bool) apisecret.Form {
	return apisecret.Form{
		Fields: []apisecret.Field{
			apisecret.FieldIdentifier, apisecret.FieldIdentifiers, apisecret.FieldReason,
			apisecret.FieldAction, apisecret.FieldCheck,
		},
		MaxIdentifiers: apisecret.MaxIdentifiers,
		IgnoreUnknown:  ignoreUnknown,
	}
}

// open takes the document out of whatever envelope it came in.
func (h *Handler) open(payload []byte) (apisecret.Document, telemetry.Origin, error) {
	origin := telemetry.Origin{Source: "event"}
	e, isEnvelope, err := readEnvelope(payload)
	if err != nil {
		return apisecret.Document{}, origin, fmt.Errorf("the event cannot be read: %w", err)
	}
	if !isEnvelope {
		read := form(false).Read
		if isBatch(payload) {
			read = readBatch
		}
		document, err := read(payload)
		origin.Execution = document.Execution
		return document, origin, err
	}
	origin.EventSource, origin.EventID, origin.Caller = e.source, e.id, e.caller()
	if !h.allows(e.source) {
		return apisecret.Document{}, origin, errors.New("the event's source is not in SEGURA_ALLOWED_EVENT_SOURCES; nothing was done")
	}
	if e.replayed {
		return apisecret.Document{}, origin, errors.New("the event is replayed from an archive (replay-name): what was asked for then is not done now")
	}
	if e.isScheduled() && e.isBare() {
		return h.scheduled(origin)
	}
	document, err := form(true).Read(e.detail)
	if err != nil {
		err = fmt.Errorf("detail: %w", err)
	}
	return document, origin, err
}

func (h *Handler) scheduled(origin telemetry.Origin) (apisecret.Document, telemetry.Origin, error) {
	if len(h.Defaults) == 0 {
		return apisecret.Document{}, origin, errors.New("a scheduled event without detail enables SEGURA_DEFAULT_IDENTIFIERS, which is empty")
	}
	return apisecret.Document{Request: apisecret.Request{Action: apisecret.Enable, Identifiers: h.Defaults}}, origin, nil
}

func (h *Handler) allows(source string) bool {
	return len(h.AllowedSources) == 0 || slices.Contains(h.AllowedSources, source)
}
