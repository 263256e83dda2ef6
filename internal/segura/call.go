package segura

import (
	"context"
	"net/http"

	"segura-enable/internal/apisecret"
)

// Answer is a call that succeeded.
type Answer struct {
	Outcome    apisecret.Outcome
	HTTPStatus int
	Message    string // Segura's, free of credentials
	RequestID  string // the gateway's; may be empty
}

// Do enables or disables an API secret, as the action says: one call, attempted
// once, with the given token.
//
// Source: Segura's pages "POST | Enable API secret" and "POST | Disable API
// secret", whose word for it is to activate and to deactivate. Both are
// idempotent, so that a call may be repeated after any fault.
func (c *Client) Do(ctx context.Context, action apisecret.Action, i apisecret.Identifier, t *Token) (Answer, *apisecret.Error) {
	r, fault := c.call(ctx, http.MethodPost, c.access().addresses.call(action, i), t, maxBody)
	if fault != nil {
		return Answer{}, fault
	}
	said := readContent(r.body)
	message, requestID := c.quote(r, said, t.texts)
	outcome, fault := readCall(action, i, r, said)
	if fault == nil {
		return Answer{outcome, r.status, message, requestID}, nil
	}
	return Answer{}, withQuote(fault, message, requestID)
}

// call sends a request without a body, with the token unless that is nil.
func (c *Client) call(ctx context.Context, method, address string, t *Token, most int64) (reply, *apisecret.Error) {
	request, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return reply{}, apisecret.NewError(apisecret.InternalError, "")
	}
	if t != nil {
		request.Header.Set("Authorization", "Bearer "+t.value.Reveal())
	}
	return c.send(ctx, request, most)
}

// Connect opens a new connection to the base URL and sends one HEAD; any reply
// is a success.
func (c *Client) Connect(ctx context.Context) *apisecret.Error {
	config := c.transport.TLSClientConfig.Clone()
	config.ClientSessionCache = nil
	fresh := &Client{options: c.options, access: c.access, transport: newTransport(config, c.options), certificateAsked: c.certificateAsked}
	fresh.transport.DisableKeepAlives = true
	_, fault := fresh.call(ctx, http.MethodHead, c.access().addresses.base.String(), nil, maxBody)
	if fault != nil && fault.Code == apisecret.UnexpectedResponse {
		fault.Message = "What answers at base_url does not speak HTTP. Check base_url in the AWS secret, and what answers there."
	}
	return fault
}

// quote returns what the reply says in words, and the gateway's number for the
// request, with nothing in either of a secret that the redactor knows, or of more.
func (c *Client) quote(r reply, said content, more *secretTexts) (message, requestID string) {
	for _, id := range []string{r.header.Get("X-Kong-Request-Id"), r.header.Get("X-Request-Id"), said.requestID} {
		if id, _ = bareText(id); id != "" {
			requestID = c.options.Redactor.redact(id, more)
			break
		}
	}
	return c.options.Redactor.redact(said.logged(r), more), requestID[:min(len(requestID), maxRequestID)]
}
