package seguratest

import (
	"fmt"
	"net/http"
	"strings"
)

func replying(name string, with func(*exchange) reply) Fault {
	return Fault{name: name, play: func(x *exchange) { x.send(with(x)) }}
}

// Normally is no fault at all: the faithful answer.
func Normally() Fault { return Fault{} }

// Reply answers with this status, Content-Type (empty: none) and body.
func Reply(status int, contentType, body string) Fault {
	return replying(fmt.Sprintf("reply %d", status), func(*exchange) reply { return reply{status, contentType, body} })
}

// ReplyJSON is Reply with application/json.
func ReplyJSON(status int, body string) Fault { return Reply(status, "application/json", body) }

// Gateway answers with an error of the gateway's own.
func Gateway(status int, message string) Fault {
	return replying(fmt.Sprintf("gateway %d", status), func(x *exchange) reply { return x.gateway(status, message) })
}

// GatewayNoRoute404 is "no Route matched with those values".
func GatewayNoRoute404() Fault { return Gateway(404, messageNoRoute) }

// GatewayForbiddenIP403 is the gateway's 403.
func GatewayForbiddenIP403() Fault { return Gateway(403, "IP address not allowed") }

// Gateway429 is the gateway's 429, without a hint when to come again:
// add Retry-After or RateLimit-Reset (seconds) or X-RateLimit-Reset (Unix time)
// by WithHeader.
func Gateway429() Fault { return Gateway(429, "API rate limit exceeded") }

// Gateway500 is the gateway's 500.
func Gateway500() Fault { return Gateway(500, "An unexpected error occurred") }

// Gateway502 is the gateway's 502.
func Gateway502() Fault {
	return Gateway(502, "An invalid response was received from the upstream server")
}

// Gateway503 is the gateway's 503.
func Gateway503() Fault { return Gateway(503, "failure to get a peer from the ring-balancer") }

// Gateway504 is the gateway's 504.
func Gateway504() Fault { return Gateway(504, "The upstream server is timing out") }

// Envelope answers with Segura's envelope, without an exception, in the
// server's generation: httpStatus is that of HTTP, status the one within, and
// "error" is true from 400 on.
func Envelope(httpStatus, status int, message string) Fault {
	return EnvelopeException(httpStatus, status, message, 0, "")
}

// EnvelopeException is Envelope with an exception.
func EnvelopeException(httpStatus, status int, message string, code int, exceptionMessage string) Fault {
	return replying(fmt.Sprintf("envelope %d in %d", status, httpStatus), func(x *exchange) reply {
		return x.server.speaks().envelope(httpStatus, status, message, code, exceptionMessage)
	})
}

// NotFound1005 is "1005: Api secret not found" with its exception.
func NotFound1005() Fault {
	return EnvelopeException(400, 400, messageNotFound, 1005, messageNotFound)
}

// NotFound1005WithoutException has the code in front of the message only.
func NotFound1005WithoutException() Fault { return Envelope(400, 400, messageNotFound) }

// AccessDenied1006 is "1006: User does not have access" with its exception.
func AccessDenied1006() Fault {
	return EnvelopeException(400, 400, messageNoAccess, 1006, messageNoAccess)
}

// AccessDenied1006WithoutException has the code in front of the message only.
func AccessDenied1006WithoutException() Fault { return Envelope(400, 400, messageNoAccess) }

// Unexpected500 is "Unexpected error." without an exception.
func Unexpected500() Fault { return Envelope(500, 500, messageUnexpected) }

// PortugueseException500 is a 500 whose exception has the code 400, which is no
// code of Segura's, and Portuguese text.
func PortugueseException500() Fault {
	return EnvelopeException(500, 500, messageUnexpected, 400, "Não foi possível processar a requisição")
}

// NotAuthorized is "You are not authorized to access this resource" in an
// envelope with the same status; see Envelope and Gateway for other forms.
func NotAuthorized(status int) Fault { return Envelope(status, status, messageNotAuthorized) }

// PasswordActivated is a 200 that speaks of another object: "Password
// successfully activated".
func PasswordActivated() Fault { return Envelope(200, 200, messagePasswordEnabled) }

// TokenRefused refuses the call's token, however fresh it is.
func TokenRefused(style RefusalStyle) Fault {
	return replying("token refused", func(x *exchange) reply { return x.refusal(style) })
}

// InvalidClient401 is the token endpoint's refusal of the credentials.
func InvalidClient401() Fault {
	return replying("invalid_client", func(*exchange) reply { return invalidClient() })
}

// TokenReply answers a token request with this body and status 200; "{token}"
// in it becomes a token that is issued at that moment and honoured. The
// credentials are not looked at.
func TokenReply(body string) Fault {
	return replying("token reply", func(x *exchange) reply {
		if before, after, ok := strings.Cut(body, "{token}"); ok {
			return jsonReply(200, before+x.server.issue()+after)
		}
		return jsonReply(200, body)
	})
}

// TokenExpiresIn is TokenReply with this JSON as expires_in, e.g. -1, "3600" in
// quotes, 9e99 or null; empty leaves the field out. The server honours the
// token for TokenLifetime all the same.
func TokenExpiresIn(literal string) Fault {
	if literal != "" {
		literal = `"expires_in":` + literal + `,`
	}
	return TokenReply(`{"token_type":"Bearer",` + literal + `"access_token":"{token}"}`)
}

// TokenType is TokenReply with this JSON as token_type; empty leaves it out.
func TokenType(literal string) Fault {
	if literal != "" {
		literal = `"token_type":` + literal + `,`
	}
	return TokenReply(`{` + literal + `"expires_in":3600,"access_token":"{token}"}`)
}

// TokenMissing is a token reply without access_token.
func TokenMissing() Fault { return TokenReply(`{"token_type":"Bearer","expires_in":3600}`) }

// TokenWithLineBreaks is a token with line breaks in it, which no header can
// carry.
func TokenWithLineBreaks() Fault {
	return TokenReply(`{"token_type":"Bearer","expires_in":3600,"access_token":"\r\n{token}\r\nX-Forged: yes"}`)
}

// Redirect sends the client elsewhere.
func Redirect(status int, location string) Fault {
	return Reply(status, "text/html", "<a href=\"#\">Moved</a>").WithHeader("Location", location)
}

// HTML answers with a web page, as a proxy, a load balancer or a login page does.
func HTML(status int) Fault {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	return Reply(status, "text/html", "<html>\r\n<head><title>"+title+"</title></head>\r\n<body>\r\n<center><h1>"+
		title+"</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n")
}

// Binary answers 200 with bytes that are neither text nor JSON.
func Binary() Fault {
	return Reply(200, "application/octet-stream", "\x00\xff\xfe\x80\x1f\x8b"+strings.Repeat("\x00\xc3\x28", 100))
}

// Empty answers with this status and no body.
func Empty(status int) Fault { return Reply(status, "", "") }
