package seguratest

import (
	"encoding/json"
	"fmt"
)

// Generation is a version of Segura, as far as the shape and the words of its
// replies go.
type Generation int

// The generations of replies.
const (
	// Newest is what the vendor's page "POST | Enable API secret" shows.
	Newest Generation = iota
	// V332 is that of version 3.32: no outer code, "API secret" in capitals,
	// followed by two spaces where something changed.
	V332
	// Minimal has the status, the message and the error flag, and no exception.
	Minimal
	// CapitalMessage has "Message" where others have "mensagem".
	CapitalMessage
	// WithTenant is Newest with the tenant's name.
	WithTenant
	// NumbersAsStrings is Newest with each number in quotes.
	NumbersAsStrings
)

// shapes are the generations' JSON: %[1]d is the status, %[2]s the message as JSON,
// %[3]t the error flag and %[4]s the exception with its comma, or nothing. In
// exception, %[1]d is the code and %[2]s the message as JSON.
var shapes = [...]struct{ envelope, exception string }{
	Newest: {
		`{"code":%[1]d,"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":0}%[4]s}`,
		`,"exception":{"code":%[1]d,"message":%[2]s,"detail":null}`,
	},
	V332: {
		`{"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":0}%[4]s}`,
		`,"exception":{"code":%[1]d,"message":%[2]s,"detail":""}`,
	},
	Minimal: {`{"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t}%[4]s}`, ""},
	CapitalMessage: {
		`{"code":%[1]d,"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","Message":%[2]s,"erro":%[3]t,"cod_erro":0}%[4]s}`,
		`,"exception":{"code":%[1]d,"message":%[2]s,"detail":null}`,
	},
	WithTenant: {
		`{"code":%[1]d,"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":0,"tenant":"default"}%[4]s}`,
		`,"exception":{"code":%[1]d,"message":%[2]s,"detail":null}`,
	},
	NumbersAsStrings: {
		`{"code":"%[1]d","response":{"status":"%[1]d","message":%[2]s,"error":%[3]t,"error_code":"0","detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":"0"}%[4]s}`,
		`,"exception":{"code":"%[1]d","message":%[2]s,"detail":null}`,
	},
}

// words are what is said of a change, and where there was nothing to change.
type words struct{ done, already string }

func (g Generation) says(kind Kind) words {
	switch {
	case kind == KindPasswordEnable:
		return words{messagePasswordEnabled, ""}
	case kind == KindPasswordDisable:
		return words{"Password successfully deactivated", ""}
	case kind == KindDisable && g == V332:
		return words{"API secret  successfully deactivated", "API secret has already been deactivated"}
	case kind == KindDisable:
		return words{"Api secret successfully deactivated", "Api secret has already been deactivated"}
	case g == V332:
		return words{"API secret  successfully activated", "API secret has already been activated"}
	}
	return words{"Api secret activated successfully", "Api secret has already been activated"}
}

// Other messages, the gateway's last.
const (
	messageNotFound        = "1005: Api secret not found"
	messageNoAccess        = "1006: User does not have access"
	messageUnexpected      = "Unexpected error."
	messageNotAuthorized   = "You are not authorized to access this resource"
	messageAuthentication  = "Client authentication failed"
	messageInactive        = "Inactive authorization"
	messagePasswordEnabled = "Password successfully activated"

	messageNoRoute = "no Route matched with those values"
)

// reply is an answer before it is sent; contentType may be empty.
type reply struct {
	status            int
	contentType, body string
}

func jsonReply(status int, body string) reply { return reply{status, "application/json", body} }

// envelope is a reply of Segura's application: the HTTP status, the status
// within, the message, and the exception where there is a code and the generation
// has one.
func (g Generation) envelope(httpStatus, status int, message string, code int, exception string) reply {
	shape, tail := shapes[g], ""
	if code != 0 && shape.exception != "" {
		tail = fmt.Sprintf(shape.exception, code, quote(exception))
	}
	return jsonReply(httpStatus, fmt.Sprintf(shape.envelope, status, quote(message), status >= 400, tail))
}

// says is an envelope without an exception, answered with its own status.
func (x *exchange) says(status int, message string) reply {
	return x.server.speaks().envelope(status, status, message, 0, "")
}

// gateway is an error of Kong's own, in the format that a client gets who asks for
// JSON.
func (x *exchange) gateway(status int, message string) reply {
	id := fmt.Sprintf(",\n  \"request_id\":%q", x.request.ID)
	if x.server.options.OlderGateway {
		id = ""
	}
	return reply{status, "application/json; charset=utf-8", fmt.Sprintf("{\n  \"message\":%s%s\n}", quote(message), id)}
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // a string always can
	return string(quoted)
}
