package apisecret

import "time"

// Code says why an API secret could not be enabled or disabled. Callers, alarms
// and state machines depend on the spelling.
type Code string

// The codes.
const (
	NotAllowed              Code = "not_allowed"
	NotFound                Code = "not_found"
	AccessDenied            Code = "access_denied"
	CredentialsUnavailable  Code = "credentials_unavailable"
	AuthenticationFailed    Code = "authentication_failed"
	RateLimited             Code = "rate_limited"
	UpstreamError           Code = "upstream_error"
	UpstreamInvalidResponse Code = "upstream_invalid_response"
	UpstreamTimeout         Code = "upstream_timeout"
	UpstreamUnreachable     Code = "upstream_unreachable"
	UnexpectedResponse      Code = "unexpected_response"
	DeadlineExceeded        Code = "deadline_exceeded"
	InternalError           Code = "internal_error"
)

// Error is one failure, as callers and the audit log see it. It is never changed
// once made and may be shared by many items.
type Error struct {
	Code              Code   `json:"code"`
	Message           string `json:"message"` // our own sentence, with what the operator can do; nothing of the upstream's
	Retryable         bool   `json:"retryable"`
	SeguraCode        int    `json:"segura_code,omitempty"`         // such as 1005; 0: none given
	HTTPStatus        int    `json:"http_status,omitempty"`         // 0: there was no reply
	UpstreamRequestID string `json:"upstream_request_id,omitempty"` // of Segura's gateway

	UpstreamMessage string        `json:"-"` // for the audit log only, free of credentials
	RetryAfter      time.Duration `json:"-"` // what the upstream asked for; 0: nothing
}

// Error makes an Error an error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// NewError returns an error of the code with the message, and with whether the
// code as such is worth another try.
func NewError(code Code, message string) *Error {
	return &Error{Code: code, Message: message, Retryable: retryable[code]}
}

// retryable lists the codes that another try may cure. A cause known better may
// overrule it: a rejected certificate, or an unavailable secret that is merely
// throttled.
var retryable = map[Code]bool{
	RateLimited:             true,
	UpstreamError:           true,
	UpstreamInvalidResponse: true,
	UpstreamTimeout:         true,
	UpstreamUnreachable:     true,
	DeadlineExceeded:        true,
}
