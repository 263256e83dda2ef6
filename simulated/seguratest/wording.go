package seguratest

import (
	"fmt"
	"strings"
	"unicode/utf16"
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

// shape is a generation's JSON: %[1]d is the status, %[2]s the message as JSON,
// %[3]t the error flag and %[4]s the exception with its comma, or nothing. In
// exception, %[1]d is the code and %[2]s the message as JSON.
type shape struct {
	envelope  string
	exception string
	words     words
}

// words are a generation's messages about API secrets.
type words struct {
	enabled, alreadyEnabled   string
	disabled, alreadyDisabled string
}

const (
	newestEnvelope  = `{"code":%[1]d,"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":0}%[4]s}`
	v332Envelope    = `{"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":0}%[4]s}`
	minimalEnvelope = `{"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t}%[4]s}`
	capitalEnvelope = `{"code":%[1]d,"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","Message":%[2]s,"erro":%[3]t,"cod_erro":0}%[4]s}`
	tenantEnvelope  = `{"code":%[1]d,"response":{"status":%[1]d,"message":%[2]s,"error":%[3]t,"error_code":0,"detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":0,"tenant":"default"}%[4]s}`
	stringsEnvelope = `{"code":"%[1]d","response":{"status":"%[1]d","message":%[2]s,"error":%[3]t,"error_code":"0","detail":"","mensagem":%[2]s,"erro":%[3]t,"cod_erro":"0"}%[4]s}`

	newestException  = `,"exception":{"code":%[1]d,"message":%[2]s,"detail":null}`
	v332Exception    = `,"exception":{"code":%[1]d,"message":%[2]s,"detail":""}`
	stringsException = `,"exception":{"code":"%[1]d","message":%[2]s,"detail":null}`
)

// The messages that no generation words differently.
const (
	messageNotFound       = "1005: Api secret not found"
	messageNoAccess       = "1006: User does not have access"
	messageUnexpected     = "Unexpected error."
	messageNotAuthorized  = "You are not authorized to access this resource"
	messageAuthentication = "Client authentication failed"
	messageInactive       = "Inactive authorization"

	messagePasswordEnabled         = "Password successfully activated"
	messagePasswordAlreadyEnabled  = "Password has already been activated"
	messagePasswordDisabled        = "Password successfully deactivated"
	messagePasswordAlreadyDisabled = "Password has already been deactivated"
)

// shape is a switch, not a table, so that an unknown generation is the newest.
func (g Generation) shape() shape {
	newest := words{
		enabled:         "Api secret activated successfully",
		alreadyEnabled:  "Api secret has already been activated",
		disabled:        "Api secret successfully deactivated",
		alreadyDisabled: "Api secret has already been deactivated",
	}
	switch g {
	case V332:
		return shape{v332Envelope, v332Exception, words{
			enabled:         "API secret  successfully activated",
			alreadyEnabled:  "API secret has already been activated",
			disabled:        "API secret  successfully deactivated",
			alreadyDisabled: "API secret has already been deactivated",
		}}
	case Minimal:
		return shape{minimalEnvelope, "", newest}
	case CapitalMessage:
		return shape{capitalEnvelope, newestException, newest}
	case WithTenant:
		return shape{tenantEnvelope, newestException, newest}
	case NumbersAsStrings:
		return shape{stringsEnvelope, stringsException, newest}
	case Newest:
	}
	return shape{newestEnvelope, newestException, newest}
}

// exception is the reason that an envelope may carry; code 0 means none.
type exception struct {
	code    int
	message string
}

// envelope is a reply of Segura's application: the HTTP status, the status
// within, the message, and the exception where the generation has one.
func (g Generation) envelope(httpStatus, status int, message string, why exception) reply {
	sh := g.shape()
	tail := ""
	if why.code != 0 && sh.exception != "" {
		tail = fmt.Sprintf(sh.exception, why.code, quote(why.message))
	}
	return jsonReply(httpStatus, fmt.Sprintf(sh.envelope, status, quote(message), status >= 400, tail))
}

// quote is text as PHP's json_encode writes it: ASCII only, slashes escaped.
func quote(text string) string {
	var out strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		switch {
		case unit == '"' || unit == '\\' || unit == '/':
			out.WriteByte('\\')
			out.WriteByte(byte(unit))
		case unit < 0x20 || unit > 0x7e:
			fmt.Fprintf(&out, `\u%04x`, unit)
		default:
			out.WriteByte(byte(unit))
		}
	}
	return `"` + out.String() + `"`
}
