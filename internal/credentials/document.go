package credentials

import (
	"bytes"
	"errors"
	"fmt"

	"segura-enable/internal/segura"
	"segura-enable/internal/strictjson"
)

// Parse reads the document in the AWS secret, and mends the damage that a copy does;
// mended names the fields in question, and "document" for what stands in front of it.
// Unknown fields are ignored; an optional field that is null or empty counts as
// absent. Whether the values can be used is for segura.New to judge. Errors name the
// field and repeat no value.
func Parse(document []byte) (_ segura.Credentials, mended []string, _ error) {
	document, marked := withoutMark(document)
	if marked {
		mended = append(mended, "document")
	}
	members, err := strictjson.Object(document)
	if _, ok := strictjson.String(bytes.TrimSpace(document)); ok {
		err = errEncodedTwice
	}
	if err != nil {
		return segura.Credentials{}, nil, withoutName(err)
	}
	var c segura.Credentials
	for _, member := range members {
		set, known := fields[member.Name]
		if !known || string(member.Value) == "null" {
			continue
		}
		text, ok := strictjson.String(member.Value)
		if !ok {
			return segura.Credentials{}, nil, fmt.Errorf("%s is not a string", member.Name)
		}
		value, amiss := mend(member.Name, text)
		if amiss {
			mended = append(mended, member.Name)
		}
		if err := damage(member.Name, value); err != nil {
			return segura.Credentials{}, nil, err
		}
		set(&c, value)
	}
	return c, mended, nil
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
