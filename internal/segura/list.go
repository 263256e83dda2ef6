package segura

import (
	"bytes"
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

// readList reads entry by entry: of a long list, there would be no room for all members
// of all of them.
func readList(r reply) (map[apisecret.Identifier]bool, bool) {
	if r.status != http.StatusOK || r.incomplete != nil || !json.Valid(r.body) {
		return nil, false
	}
	entries := json.NewDecoder(bytes.NewReader(r.body))
	if !enterArray(entries, "api_secret_on_list") {
		return nil, false
	}
	listed := map[apisecret.Identifier]bool{}
	for entries.More() {
		var entry struct {
			Identifier json.RawMessage `json:"identifier"`
			CanWrite   json.RawMessage `json:"can_write"`
		}
		if entries.Decode(&entry) != nil {
			return nil, false
		}
		if i, err := apisecret.ReadIdentifier(entry.Identifier); err == nil {
			listed[i] = isSet(entry.CanWrite)
		}
	}
	return listed, true
}

// enterArray reads an object up to the first element of the array that is its member of
// that name, and reports whether there is one.
func enterArray(decoder *json.Decoder, name string) bool {
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return false
	}
	for decoder.More() {
		found, err := decoder.Token()
		if err != nil {
			return false
		}
		if found == name {
			opening, err := decoder.Token()
			return err == nil && opening == json.Delim('[')
		}
		var other json.RawMessage
		if decoder.Decode(&other) != nil {
			return false
		}
	}
	return false
}
