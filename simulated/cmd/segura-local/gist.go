package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// gist is what matters of an event to a reader: the HTTP request in an event of
// API Gateway, what makes an EventBridge event what it is, and any other event
// as it is. Headers are left out: they carry credentials.
func gist(event []byte) string {
	var shape struct {
		// of payload 1.0, and of 2.0
		HTTPMethod, Path, RawPath, Body string
		IsBase64Encoded                 bool
		RequestContext                  *struct {
			HTTP       struct{ Method string }
			Identity   struct{ UserArn string }
			Authorizer struct{ IAM struct{ UserArn string } } // has other forms too, which name the caller in other ways
		}

		// of EventBridge
		DetailType *string `json:"detail-type"`
		Source     string
		Resources  []string
		Detail     json.RawMessage
	}
	_ = json.Unmarshal(event, &shape) // a member of another form is left out
	switch c := shape.RequestContext; {
	case c != nil:
		body := shape.Body
		if decoded, err := base64.StdEncoding.DecodeString(body); err == nil && shape.IsBase64Encoded {
			body = string(decoded)
		}
		text := printable(c.HTTP.Method + shape.HTTPMethod + " " + shape.RawPath + shape.Path)
		if caller := c.Identity.UserArn + c.Authorizer.IAM.UserArn; caller != "" {
			text += "\nby " + printable(caller)
		}
		if body != "" {
			text += "\n" + layOut([]byte(body))
		}
		return text
	case shape.DetailType != nil:
		text := fmt.Sprintf("%s from %s", *shape.DetailType, shape.Source)
		if len(shape.Resources) > 0 {
			text += ", " + strings.Join(shape.Resources, ", ")
		}
		return printable(text) + "\ndetail " + layOut(shape.Detail)
	default:
		return layOut(event)
	}
}
