package segura

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"segura-enable/internal/apisecret"
)

// maxList bounds the reply with the list of API secrets, in bytes.
const maxList = 16 << 20

// List returns the API secrets that the access key sees, and whether it may edit each
// of them: one call, attempted once. It keeps no names. Entries that cannot be read
// are left out.
//
// Source: Segura's page "GET | List all API secrets". Nobody has said whether disabled
// ones are listed.
func (c *Client) List(ctx context.Context, t *Token) (map[apisecret.Identifier]bool, *apisecret.Error) {
	r, fault := c.call(ctx, http.MethodGet, c.access().addresses.list, t, maxList)
	if fault != nil {
		return nil, aboutList(fault)
	}
	if listed, ok := readList(r); ok {
		return listed, nil
	}
	said := readContent(r.body[:min(len(r.body), maxBody)])
	message, requestID := c.quote(r, said, t.texts)
	return nil, withQuote(aboutList(replyFault(r, said, time.Now())), message, requestID)
}

// aboutList speaks of the list where the code's sentence speaks of one API secret.
func aboutList(fault *apisecret.Error) *apisecret.Error {
	switch fault.Code {
	case apisecret.UnexpectedResponse, apisecret.NotFound:
		fault.Message = "The reply is not the list of API secrets. Check base_url in the AWS secret, and what answers there."
	case apisecret.AccessDenied:
		fault.Message = "Segura or its gateway denies the list of API secrets. Give the access key permission to list them, and allow this function's IP address and referer in it."
	}
	return fault
}

func readList(r reply) (map[apisecret.Identifier]bool, bool) {
	var body struct {
		Listed *[]map[string]json.RawMessage `json:"api_secret_on_list"`
	}
	if r.status != http.StatusOK || r.incomplete != nil || json.Unmarshal(r.body, &body) != nil || body.Listed == nil {
		return nil, false
	}
	listed := make(map[apisecret.Identifier]bool, len(*body.Listed))
	for _, entry := range *body.Listed {
		if i, err := apisecret.ReadIdentifier(entry["identifier"]); err == nil {
			listed[i] = isSet(entry["can_write"])
		}
	}
	return listed, true
}
