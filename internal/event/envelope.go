package event

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"segura-enable/internal/strictjson"
)

// envelope is an EventBridge event.
//
// Source: Amazon EventBridge's page "AWS service event metadata", and the page
// "Managing targets" of EventBridge Scheduler for its default payload.
type envelope struct {
	source    string
	id        string
	resources []string
	detail    json.RawMessage
	replayed  bool // from an archive, whenever it was first sent
	tells     bool // of what was done; it asks for nothing
}

// OwnSource is the source of the events that the template makes of windows. Their
// detail has identifiers as a request does, and they must never be taken for one.
const OwnSource = "segura-enable"

// resultType begins the detail-type of the events that Lambda's destinations make of an
// invocation's result; their source is lambda.
const resultType = "Lambda Function Invocation Result"

// readEnvelope tells an EventBridge event from a document sent directly by its
// detail-type, source and detail. Other fields of the envelope may come and go.
func readEnvelope(payload []byte) (e envelope, isEnvelope bool, err error) {
	byName, err := strictjson.Map(payload)
	if err != nil {
		return envelope{}, false, err
	}
	for _, name := range []string{"detail-type", "source", "detail"} {
		if _, ok := byName[name]; !ok {
			return envelope{}, false, nil
		}
	}
	source, ok := strictjson.String(byName["source"])
	if !ok {
		return envelope{}, true, errors.New("its source is not a string")
	}
	e = envelope{source: source, detail: byName["detail"]}
	_, e.replayed = byName["replay-name"]
	detailType, _ := strictjson.String(byName["detail-type"])
	e.tells = source == OwnSource || source == "lambda" && strings.HasPrefix(detailType, resultType)
	e.id, _ = strictjson.String(byName["id"])
	_ = json.Unmarshal(byName["resources"], &e.resources) // other shapes name no caller
	return e, true, nil
}

// isScheduled tells an event that EventBridge's rules or its Scheduler made. No
// one else can: PutEvents refuses sources that begin with "aws.".
func (e envelope) isScheduled() bool { return e.source == "aws.events" || e.source == "aws.scheduler" }

// isBare reports whether detail is an empty object; Scheduler's default payload
// has one as a string.
func (e envelope) isBare() bool {
	detail := []byte(e.detail)
	if text, ok := strictjson.String(e.detail); ok {
		detail = []byte(text)
	}
	members, err := strictjson.Object(detail)
	return err == nil && len(members) == 0
}

// caller returns the ARN of the rule or the schedule. Only a scheduled event
// proves it: the resources of any other are whatever its publisher wrote.
func (e envelope) caller() string {
	if !e.isScheduled() {
		return ""
	}
	at := slices.IndexFunc(e.resources, func(arn string) bool { return strings.HasPrefix(arn, "arn:") })
	if at < 0 {
		return ""
	}
	return e.resources[at]
}
