package segura

import (
	"time"

	"segura-enable/internal/apisecret"
)

// Fault is a failed call to Segura.
type Fault struct {
	*failure

	// RefusedToken says that Segura refused the access token; another one may
	// be accepted.
	RefusedToken bool

	// RefusedCredentials says that the token endpoint refused the client
	// credentials; trying them again is pointless.
	RefusedCredentials bool

	// NoReply says that nothing whole came back: Segura may be down.
	NoReply bool
}

// failure is an alias for a field's sake: embedded under its own name, its
// method Error would be hidden.
type failure = apisecret.Error

// AsError returns the failure as callers see it.
func (f *Fault) AsError() *apisecret.Error { return f.failure }

// Sentences for callers: what happened and what the operator can do.
var messages = map[apisecret.Code]string{
	apisecret.NotFound:                "Segura has no API secret with this identifier. Check the number against Segura's list of API secrets (identifier, not identifier_code).",
	apisecret.AccessDenied:            "Segura denies access to this API secret. Give the access key's user permission to edit it, and allow this function's IP address and referer in the access key.",
	apisecret.AuthenticationFailed:    "Segura refuses the client credentials or a token that it just issued. Check client_id, client_secret, tenant and the certificate in the AWS secret, and that the access key is active.",
	apisecret.RateLimited:             "Segura's gateway limits the rate of requests. Try again later, with fewer identifiers at once or a lower SEGURA_MAX_CONCURRENCY, or raise the gateway's limit.",
	apisecret.UpstreamError:           "Segura or its gateway answered with a server error. Try again; if it persists, look at Segura's own logs.",
	apisecret.UpstreamInvalidResponse: "Segura's gateway got no valid reply from Segura, or the reply was cut short. Try again; if it persists, check the connection between the gateway and Segura.",
	apisecret.UpstreamTimeout:         "Segura did not answer in time. Try again; if it persists, check the network to Segura and its load, or raise SEGURA_ATTEMPT_TIMEOUT.",
	apisecret.UnexpectedResponse:      "The reply does not say that the API secret is now in the state asked for. Check its state in Segura, and base_url, token_url and the paths in the AWS secret; the reply's message is in the log.",
	apisecret.InternalError:           "A fault of this function's. Report it as a bug, with the log of this invocation.",
	apisecret.DeadlineExceeded:        "The invocation's time ran out first. Try again, with fewer identifiers at once or a longer function timeout.",
}

// noRoute is the sentence for the gateway's 404, which has two causes.
const noRoute = "Segura's gateway knows no route for this request: the credentials or the token are refused, or base_url, token_url or a path in the AWS secret is wrong. Check both."

// NewFault returns a fault of the code, with its usual sentence.
func NewFault(code apisecret.Code) *Fault {
	return FaultOf(apisecret.NewError(code, messages[code]))
}

// FaultOf returns a failure that happened before any call as a fault.
func FaultOf(failure *apisecret.Error) *Fault { return &Fault{failure: failure} }

// replyFault judges a reply that is not the success asked for. now is for
// rate-limit headers that name a time.
func replyFault(r reply, c content, now time.Time) *Fault {
	f := judge(r, c)
	f.HTTPStatus = effectiveStatus(r, c)
	if f.Code == apisecret.RateLimited || f.HTTPStatus == 503 {
		f.RetryAfter = retryAfter(r.header, now)
	}
	if isSeguraCode(c.code) {
		f.SeguraCode = c.code
	}
	return f
}

// effectiveStatus is the HTTP status where that is an error, else the first one
// inside the envelope that is: a 200 may carry a 400.
func effectiveStatus(r reply, c content) int {
	if r.status/100 == 2 {
		for _, status := range c.statuses {
			if status/100 > 2 && status < 600 {
				return status
			}
		}
	}
	return r.status
}

// judge finds the code. What the reply says goes before its status, since one
// text comes with several; a body that cannot be read never hides the status.
func judge(r reply, c content) *Fault {
	if f := judgeContent(c); f != nil {
		return f
	}
	switch status := effectiveStatus(r, c); {
	case status == 401:
		return refusedToken(messages[apisecret.AuthenticationFailed])
	case status == 403:
		return NewFault(apisecret.AccessDenied)
	case status == 429:
		return NewFault(apisecret.RateLimited)
	case status == 502:
		return NewFault(apisecret.UpstreamInvalidResponse)
	case status == 504:
		return NewFault(apisecret.UpstreamTimeout)
	case status >= 500 && status < 600:
		return NewFault(apisecret.UpstreamError)
	case r.incomplete != nil:
		return r.incomplete
	case c.cutShort:
		return NewFault(apisecret.UpstreamInvalidResponse)
	default:
		return NewFault(apisecret.UnexpectedResponse)
	}
}

// judgeContent knows the causes that Segura and its gateway name in words or by
// Segura's own code; nil if the reply names none of them, or contradicts itself.
func judgeContent(c content) *Fault {
	switch {
	case c.contradicted:
		return nil
	case c.says("you are not authorized to access this resource"):
		return NewFault(apisecret.AccessDenied)
	case c.code == 1005:
		return NewFault(apisecret.NotFound)
	case c.code == 1006:
		return NewFault(apisecret.AccessDenied)
	case c.says("no route matched with those values"):
		return refusedToken(noRoute)
	case c.says("client authentication failed"), c.says("inactive authorization"), c.says("invalid_client"):
		return refusedToken(messages[apisecret.AuthenticationFailed])
	case c.says("api rate limit exceeded"):
		return NewFault(apisecret.RateLimited)
	case c.says("an invalid response was received from the"):
		return NewFault(apisecret.UpstreamInvalidResponse)
	case c.says("the upstream server is timing out"):
		return NewFault(apisecret.UpstreamTimeout)
	default:
		return nil
	}
}

func refusedToken(message string) *Fault {
	return &Fault{failure: apisecret.NewError(apisecret.AuthenticationFailed, message), RefusedToken: true}
}
