package seguratest

import (
	"fmt"
	"net/http"
	"strings"
)

// The gateway's messages.
const (
	messageNoRoute      = "no Route matched with those values"
	messageInvalidReply = "An invalid response was received from the upstream server"
	messageTimingOut    = "The upstream server is timing out"
	messageRingBalancer = "failure to get a peer from the ring-balancer"
	messageRateLimit    = "API rate limit exceeded"
	messageIPNotAllowed = "IP address not allowed"
	messageFault        = "An unexpected error occurred"
)

// reply is an answer before it is sent.
type reply struct {
	status int
	header http.Header
	body   string
}

func textReply(status int, contentType, body string) reply {
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	return reply{status: status, header: header, body: body}
}

func jsonReply(status int, body string) reply {
	return textReply(status, "application/json", body)
}

// gateway is an error of Kong's own, in the format that Accept asks for: plain
// text where it asks for none, which is Kong's error_default_type.
func (x *exchange) gateway(status int, message string) reply {
	accept := strings.Join(x.r.Header.Values("Accept"), ",")
	older := x.server.options.OlderGateway
	var a reply
	switch {
	case strings.Contains(accept, "application/json"):
		a = textReply(status, "application/json; charset=utf-8", gatewayJSON(message, x.id, older))
	case strings.Contains(accept, "text/html"):
		a = textReply(status, "text/html; charset=utf-8", gatewayHTML(message, x.id, older))
	case strings.Contains(accept, "*/*"), strings.Contains(accept, "application/*"):
		a = textReply(status, "application/json; charset=utf-8", gatewayJSON(message, x.id, older))
	default:
		a = textReply(status, "text/plain; charset=utf-8", gatewayPlain(message, x.id, older))
	}
	a.header.Set("Server", "kong/3.9.1")
	return a
}

func gatewayJSON(message, id string, older bool) string {
	if older {
		return fmt.Sprintf("{\n  \"message\":%s\n}", quote(message))
	}
	return fmt.Sprintf("{\n  \"message\":%s,\n  \"request_id\":\"%s\"\n}", quote(message), id)
}

func gatewayPlain(message, id string, older bool) string {
	if older {
		return message + "\n"
	}
	return fmt.Sprintf("%s\nrequest_id: %s\n", message, id)
}

func gatewayHTML(message, id string, older bool) string {
	footer := ""
	if !older {
		footer = fmt.Sprintf("    <p>request_id: %s</p>\n", id)
	}
	return "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n" +
		"  <body>\n    <h1>Error</h1>\n    <p>" + message + ".</p>\n" + footer + "  </body>\n</html>\n"
}
