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
			reply, err = nil, Fail(ctx, h.Log, InternalError, apisecret.NewError(apisecret.InternalError, "").Message)
		}
	}()
	document, origin, err := h.open(payload)
	switch {
	case err != nil:
		return nil, Fail(ctx, h.Log, InvalidRequest, err.Error())
	case document.Check:
		return Checked(ctx, h.Log, h.Runner.Check(ctx, document.Identifiers))
	}
	result := h.Runner.Run(ctx, document.Request, origin)
	if result.Outcome() == apisecret.Succeeded {
		return result.Document(maxResult, func(text []byte) int { return len(text) }), nil
	}
	kind := PermanentError
	if result.Retryable() {
		kind = TransientError
	}
	return nil, Fail(ctx, h.Log, kind, string(result.Document(maxError-errorOverhead, escaped)))
}

// Checked returns a self-check's document, or the function error that it ends in, and
// logs what went wrong.
func Checked(ctx context.Context, log *slog.Logger, result activation.CheckResult) ([]byte, error) {
	log.InfoContext(ctx, "self-check", "outcome", result.Check)
	for _, step := range result.Steps {
		if failure := step.Error; failure != nil {
			log.ErrorContext(ctx, "a step of the self-check failed", "step", step.Name, "code", failure.Code, "cause", failure.Message, "upstream_message", failure.UpstreamMessage)
		}
	}
	if result.Check != activation.Passed {
		return nil, Fail(ctx, log, CheckFailed, string(result.Document(maxError-errorOverhead, escaped)))
	}
	return result.Document(maxResult, func(text []byte) int { return len(text) }), nil
}

// Opened is a document, taken out of whatever envelope it came in.
type Opened struct {
	Data     []byte
	InDetail bool             // it was an EventBridge event's detail
	Bare     bool             // a scheduled event without detail
	Origin   telemetry.Origin // without the source
}

// Open takes the document out of a payload. An EventBridge event of a source that is
// not allowed is refused, and so is one that is replayed from an archive, or that tells
// of what was done. No allowed source allows any.
func Open(payload []byte, allowed []string) (Opened, error) {
	e, isEnvelope, err := readEnvelope(payload)
	if err != nil {
		return Opened{}, fmt.Errorf("the event cannot be read: %w", err)
	}
	if !isEnvelope {
		return Opened{Data: payload}, nil
	}
	opened := Opened{Data: e.detail, InDetail: true, Bare: e.isScheduled() && e.isBare()}
	opened.Origin = telemetry.Origin{EventSource: e.source, EventID: e.id, Caller: e.caller()}
	switch {
	case e.tells:
		return opened, errors.New("the event tells of what was done, and asks for nothing; nothing was done. Keep results off the bus that requests come from")
	case len(allowed) > 0 && !slices.Contains(allowed, e.source):
		return opened, errors.New("the event's source is not in SEGURA_ALLOWED_EVENT_SOURCES (parameter AllowedEventSources); nothing was done")
	case e.replayed:
		return opened, errors.New("the event is replayed from an archive; what was meant for then is not done now")
	}
	return opened, nil
}

// Fail logs that the invocation ends in a function error of the kind, without the
// document, and returns the error. It is returned by value and unwrapped, since the
// runtime library takes the type from it only then.
func Fail(ctx context.Context, log *slog.Logger, kind, message string) error {
	attributes := []any{"errorType", kind}
	if kind == InvalidRequest {
		attributes = append(attributes, "cause", message)
	}
	log.ErrorContext(ctx, "the invocation ended in a function error", attributes...)
	return messages.InvokeResponse_Error{Type: kind, Message: message}
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

// open reads the request out of whatever envelope it came in.
func (h *Handler) open(payload []byte) (apisecret.Document, telemetry.Origin, error) {
	opened, err := Open(payload, h.AllowedSources)
	origin := opened.Origin
	origin.Source = "event"
	switch {
	case err != nil:
		return apisecret.Document{}, origin, err
	case opened.Bare:
		return h.scheduled(origin)
	}
	read := form(opened.InDetail).Read
	if !opened.InDetail && isBatch(opened.Data) {
		read = readBatch
	}
	document, err := read(opened.Data)
	if err != nil && opened.InDetail {
		err = fmt.Errorf("detail: %w", err)
	}
	origin.Execution = document.Execution
	return document, origin, err
}

func (h *Handler) scheduled(origin telemetry.Origin) (apisecret.Document, telemetry.Origin, error) {
	if len(h.Defaults) == 0 {
		return apisecret.Document{}, origin, errors.New("a scheduled event without detail enables SEGURA_DEFAULT_IDENTIFIERS (parameter DefaultIdentifiers), which is empty")
	}
	return apisecret.Document{Request: apisecret.Request{Action: apisecret.Enable, Identifiers: h.Defaults}}, origin, nil
}
