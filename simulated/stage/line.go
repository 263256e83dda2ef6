package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// levels are those of Lambda's log filter.
var levels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// Line is a log line of a function, decoded.
type Line map[string]any

// ReadLine reads a log line. An error says in which way it is not in the form that
// Lambda needs to filter JSON: one object with a timestamp, a level and a message,
// and each key once.
func ReadLine(text string) (Line, error) {
	l, err := members(text)
	if err != nil {
		return nil, err
	}
	if _, err := time.Parse(time.RFC3339Nano, l.Text("timestamp")); err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	if !slices.Contains(levels, l.Text("level")) {
		return nil, fmt.Errorf("level %q is none of Lambda's", l.Text("level"))
	}
	if l.Text("message") == "" {
		return nil, errors.New("no message")
	}
	return l, nil
}

// members are those of the one object that the text is.
func members(text string) (Line, error) {
	var l Line
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return nil, fmt.Errorf("not one JSON object: %w", err)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	_, _ = decoder.Token() // all of it has been read once, so there is no error from here on
	for seen := map[json.Token]bool{}; decoder.More(); {
		name, _ := decoder.Token()
		if seen[name] {
			return nil, fmt.Errorf("the key %q is there twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		_ = decoder.Decode(&value)
	}
	return l, nil
}

// Text is the value of a key; empty for one that is no text.
func (l Line) Text(key string) string {
	text, _ := l[key].(string)
	return text
}

// Number is the value of a key; ok is false for one that is no number.
func (l Line) Number(key string) (n float64, ok bool) {
	n, ok = l[key].(float64)
	return n, ok
}

// IsAudit reports whether the line is about what came of one identifier.
func (l Line) IsAudit() bool {
	return l["identifier"] != nil && l["outcome"] != nil && l["attempts"] != nil
}

// IsMetric reports whether the line has metrics, in CloudWatch's embedded format.
func (l Line) IsMetric() bool { return l["_aws"] != nil }
