package segura

import (
	"strings"
	"time"

	"segura-enable/internal/apisecret"
)

// noRoute is the sentence for the gateway's 404, which has two causes.
const noRoute = "Segura's gateway knows no route for this request: the credentials or the token are refused, or base_url, token_url or a path in the AWS secret is wrong. Check both."

// replyFault judges a reply that is not the success asked for. now is for
// rate-limit headers that name a time.
func replyFault(r reply, c content, now time.Time) *apisecret.Error {
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
func judge(r reply, c content) *apisecret.Error {
	if f := judgeContent(c); f != nil {
		return f
	}
	switch status := effectiveStatus(r, c); {
	case status == 401:
		return refusedToken("")
	case status == 403:
		return apisecret.NewError(apisecret.AccessDenied, "")
	case status == 429:
		return apisecret.NewError(apisecret.RateLimited, "")
	case status == 502:
		return apisecret.NewError(apisecret.UpstreamInvalidResponse, "")
	case status == 504 || status == 408:
		return apisecret.NewError(apisecret.UpstreamTimeout, "")
	case status >= 500 && status < 600 || status == 421 || status == 425: // misdirected, too early: again
		return apisecret.NewError(apisecret.UpstreamError, "")
	case r.incomplete != nil:
		return r.incomplete
	case c.cutShort:
		return apisecret.NewError(apisecret.UpstreamInvalidResponse, "")
	default:
		return apisecret.NewError(apisecret.UnexpectedResponse, "")
	}
}

// judgeContent knows the causes that Segura and its gateway name in words or by
// Segura's own code; nil if the reply names none of them, or contradicts itself.
func judgeContent(c content) *apisecret.Error {
	switch {
	case c.contradicted:
		return nil
	case strings.Contains(strings.ToLower(c.title), "ssl certificate"): // nginx's, of status 400
		fault := unreachable(ourCertificate)
		fault.Retryable, fault.Cause = false, 0
		return fault
	case c.says("you are not authorized to access this resource"):
		return apisecret.NewError(apisecret.AccessDenied, "")
	case c.code == 1005:
		return apisecret.NewError(apisecret.NotFound, "")
	case c.code == 1006:
		return apisecret.NewError(apisecret.AccessDenied, "")
	case c.says("no route matched with those values"):
		return refusedToken(noRoute)
	case c.says("client authentication failed"), c.says("inactive authorization"), c.says("invalid_client"):
		return refusedToken("")
	case c.says("api rate limit exceeded"):
		return apisecret.NewError(apisecret.RateLimited, "")
	case c.says("an invalid response was received from the"):
		return apisecret.NewError(apisecret.UpstreamInvalidResponse, "")
	case c.says("the upstream server is timing out"):
		return apisecret.NewError(apisecret.UpstreamTimeout, "")
	default:
		return nil
	}
}

func refusedToken(message string) *apisecret.Error {
	return newFault(apisecret.AuthenticationFailed, message, apisecret.TokenRefused)
}

// newFault is apisecret.NewError with a cause.
func newFault(code apisecret.Code, message string, cause apisecret.Cause) *apisecret.Error {
	fault := apisecret.NewError(code, message)
	fault.Cause = cause
	return fault
}

// tokenSentences are those of codes that a failed token request has: it says nothing
// of an API secret.
var tokenSentences = map[apisecret.Code]string{
	apisecret.AccessDenied:            "Segura or its gateway denies the token request. Allow this function's IP address and referer in the access key.",
	apisecret.RateLimited:             "Segura's gateway limits the rate of token requests. Try again later, or raise the gateway's limit.",
	apisecret.UpstreamError:           "The token request was answered with a server error. Try again; if it persists, look at Segura's own logs.",
	apisecret.UpstreamInvalidResponse: "The token request got no valid reply, or one that was cut short. Try again; if it persists, check the connection between the gateway and Segura.",
	apisecret.UpstreamTimeout:         "The token request was not answered in time. Try again; if it persists, check the network to Segura and its load, or raise SEGURA_ATTEMPT_TIMEOUT (parameter AttemptTimeout).",
	apisecret.UnexpectedResponse:      "The token request was answered, but not with a token. Check base_url and token_url in the AWS secret, and what answers there.",
	apisecret.NotFound:                "The token request was answered, but not with a token. Check base_url and token_url in the AWS secret, and what answers there.",
}

// ofTokenRequest gives a fault the sentence that fits a token request.
func ofTokenRequest(fault *apisecret.Error) *apisecret.Error {
	if sentence, ok := tokenSentences[fault.Code]; ok {
		fault.Message = sentence
	}
	return fault
}

// withQuote adds to a fault what the reply says, for the log, and says so where the
// sentence alone helps little.
func withQuote(fault *apisecret.Error, message, requestID string) *apisecret.Error {
	fault.UpstreamMessage, fault.UpstreamRequestID = message, requestID
	if fault.Code == apisecret.UnexpectedResponse && message != "" {
		fault.Message += " The reply's message is in the log."
	}
	return fault
}
