package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"segura-enable/internal/segura"
	"segura-enable/internal/strictjson"
)

// Document is what the AWS secret holds.
type Document struct {
	Credentials segura.Credentials
	Expires     time.Time // when the access key does, which Segura tells nobody; zero: the document does not say
	NoExpiry    error     // of an expires_at that cannot be read; else nil
	Mended      []string  // the fields that a copy had damaged, and "document" for what stood in front of it
}

// Parse reads the document in the AWS secret, and mends the damage that a copy does.
// Unknown fields are ignored; an optional field that is null or empty counts as
// absent. Whether the values can be used is for segura.New to judge. Errors name the
// field and repeat no value.
func Parse(document []byte) (d Document, _ error) {
	document, marked := withoutMark(document)
	if marked {
		d.Mended = append(d.Mended, "document")
	}
	members, err := strictjson.Object(document)
	if _, ok := strictjson.String(bytes.TrimSpace(document)); ok {
		err = errEncodedTwice
	}
	if err != nil {
		return Document{}, withoutName(err)
	}
	for _, member := range members {
		set, known := fields[member.Name]
		switch {
		case string(member.Value) == "null":
		case member.Name == expiresAt:
			d.readExpiry(member.Value)
		case known:
			value, err := d.read(member)
			if err != nil {
				return Document{}, err
			}
			set(&d.Credentials, value)
		}
	}
	return d, nil
}

// read returns the text of a field, mended.
func (d *Document) read(field strictjson.Member) (string, error) {
	text, ok := strictjson.String(field.Value)
	if !ok {
		return "", fmt.Errorf("%s is not a string", field.Name)
	}
	value, amiss := mend(field.Name, text)
	if amiss {
		d.Mended = append(d.Mended, field.Name)
	}
	return value, damage(field.Name, value)
}

// expiresAt is the field of the AWS secret that says when the access key expires. It is
// the only one whose damage leaves the AWS secret usable: nothing is done by it but to
// remind.
const expiresAt = "expires_at"

func (d *Document) readExpiry(value json.RawMessage) {
	text, ok := strictjson.String(value)
	trimmed := strings.TrimSpace(text)
	at, err := time.Parse(time.RFC3339, trimmed)
	if !ok || err != nil && trimmed != "" { // time.Parse's error repeats the value
		d.NoExpiry = errors.New(expiresAt + ` is not a time of RFC 3339 such as "2027-03-31T00:00:00Z"`)
		return
	}
	d.Expires = at
	if trimmed != text {
		d.Mended = append(d.Mended, expiresAt)
	}
}

// withoutName keeps a repeated name out of the error unless it is one of ours: it
// may be anything that somebody put into the AWS secret.
func withoutName(err error) error {
	var repeated *strictjson.RepeatedError
	if !errors.As(err, &repeated) || fields[repeated.Name] != nil {
		return err
	}
	return errors.New("it repeats a field")
}

// fields says where each field goes.
var fields = map[string]func(*segura.Credentials, string){
	"base_url":           func(c *segura.Credentials, v string) { c.BaseURL = v },
	"token_url":          func(c *segura.Credentials, v string) { c.TokenURL = v },
	"client_id":          func(c *segura.Credentials, v string) { c.ClientID = v },
	"client_secret":      func(c *segura.Credentials, v string) { c.ClientSecret = segura.Hide(v) },
	"tenant":             func(c *segura.Credentials, v string) { c.Tenant = v },
	"ca_certificate":     func(c *segura.Credentials, v string) { c.CACertificate = v },
	"client_certificate": func(c *segura.Credentials, v string) { c.ClientCertificate = v },
	"client_key":         func(c *segura.Credentials, v string) { c.ClientKey = segura.Hide(v) },
	"referer":            func(c *segura.Credentials, v string) { c.Referer = v },
	"enable_path":        func(c *segura.Credentials, v string) { c.EnablePath = v },
	"disable_path":       func(c *segura.Credentials, v string) { c.DisablePath = v },
	"auth_style":         func(c *segura.Credentials, v string) { c.AuthStyle = segura.AuthStyle(v) },
}
