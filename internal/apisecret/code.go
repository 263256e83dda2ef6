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

// The codes of requests and of windows; no identifier has them.
const (
	InvalidRequest      Code = "invalid_request"
	WindowNotFound      Code = "window_not_found"
	WindowClosed        Code = "window_closed"
	IdempotencyConflict Code = "idempotency_conflict"
	WindowsUnavailable  Code = "windows_unavailable"
)

// Error is one failure, as callers and the audit log see it. It is never changed
// once it was handed out and may be shared by many items.
type Error struct {
	Code              Code   `json:"code"`
	Message           string `json:"message"` // our own sentence, with what the operator can do; nothing of the upstream's
	Retryable         bool   `json:"retryable"`
	SeguraCode        int    `json:"segura_code,omitempty"`         // such as 1005; 0: none given
	HTTPStatus        int    `json:"http_status,omitempty"`         // 0: there was no reply
	UpstreamRequestID string `json:"upstream_request_id,omitempty"` // of Segura's gateway

	UpstreamMessage string        `json:"-"` // for the audit log only, free of credentials
	RetryAfter      time.Duration `json:"-"` // what the upstream asked for; 0: nothing
	Cause           Cause         `json:"-"` // for those who may try again; 0: nothing of theirs
}

// Cause is what those who may try again have to know of a failure besides its code.
type Cause int

// The causes.
const (
	TokenRefused       Cause = iota + 1 // Segura refused the access token; another one may be accepted
	CredentialsRefused                  // the token endpoint refused the client credentials; trying them again is pointless
	SecretUnusable                      // the AWS secret was read and is no good
	NoReply                             // nothing whole came back: Segura may be down
)

// Error makes an Error an error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// NewError returns an error of the code, with whether the code as such is worth
// another try. An empty message means the code's usual sentence.
func NewError(code Code, message string) *Error {
	if message == "" {
		message = sentences[code]
	}
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
	WindowsUnavailable:      true,
}

// sentences say for each code what happened and what the operator can do. A code
// that is not here has several causes, each with a sentence of its own.
var sentences = map[Code]string{
	NotAllowed:              "The identifier is outside SEGURA_ALLOWED_IDENTIFIERS (parameter AllowedIdentifiers); nothing was sent. Add it there if it may be enabled and disabled.",
	NotFound:                "Segura has no API secret with this identifier. Check the number against Segura's list of API secrets (identifier, not identifier_code).",
	AccessDenied:            "Segura denies access to this API secret. Give the access key's user permission to edit it, and allow this function's IP address and referer in the access key.",
	AuthenticationFailed:    "Segura refuses the client credentials or a token that it just issued. Check client_id, client_secret, tenant and the certificate in the AWS secret, and that the access key is active.",
	RateLimited:             "Segura's gateway limits the rate of requests. Try again later, with fewer identifiers at once or a lower SEGURA_MAX_CONCURRENCY (parameter MaxConcurrency), or raise the gateway's limit.",
	UpstreamError:           "Segura or its gateway answered with a server error. Try again; if it persists, look at Segura's own logs.",
	UpstreamInvalidResponse: "Segura's gateway got no valid reply from Segura, or the reply was cut short. Try again; if it persists, check the connection between the gateway and Segura.",
	UpstreamTimeout:         "Segura did not answer in time. Try again; if it persists, check the network to Segura and its load, or raise SEGURA_ATTEMPT_TIMEOUT (parameter AttemptTimeout).",
	UnexpectedResponse:      "The reply does not say that the API secret is now in the state asked for. Check its state in Segura, and base_url and the paths in the AWS secret.",
	DeadlineExceeded:        "The invocation's time ran out first. Try again, with fewer identifiers at once or a longer function timeout.",
	InternalError:           "Internal error. Report it as a bug, with the log of this invocation.",
}
