package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
)

// ErrorTypePrefix begins the errorType of every function error that the doors
// return and log themselves.
const ErrorTypePrefix = "Segura."

// StandardLog is a writer for the standard library's log package, through which
// the Lambda runtime library and net/http speak. Each line becomes one of the
// log's. The runtime library's line for a function error is dropped: it would
// repeat the whole result, and the door has logged the error with its request's
// id. Quoted parts are left out, since they hold what a peer sent.
type StandardLog struct {
	Log       *slog.Logger
	Telemetry *Telemetry // knows the request at hand; may be nil
}

// Write implements io.Writer; it is called with one line at a time.
func (w StandardLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	var functionError struct {
		Type string `json:"errorType"`
	}
	if err := json.Unmarshal([]byte(text), &functionError); err == nil && functionError.Type != "" {
		if !strings.HasPrefix(functionError.Type, ErrorTypePrefix) {
			w.error("the Lambda runtime library reported a function error", "errorType", functionError.Type)
		}
		return len(line), nil
	}
	w.error("a library logged", "text", withoutQuoted(text))
	return len(line), nil
}

func (w StandardLog) error(message, key, value string) {
	attributes := []slog.Attr{slog.String(key, value)}
	if w.Telemetry != nil {
		if id := w.Telemetry.atHand.Load(); id != nil {
			attributes = append(attributes, slog.String("requestId", *id))
		}
	}
	w.Log.LogAttrs(context.Background(), slog.LevelError, message, attributes...) //nolint:sloglint // Only the two constants above come here.
}

// withoutQuoted returns the text with everything from the first quote to the last
// left out.
func withoutQuoted(text string) string {
	first, last := strings.IndexByte(text, '"'), strings.LastIndexByte(text, '"')
	if first < 0 {
		return text
	}
	return text[:first] + "…" + text[last+1:]
}
