package segura

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
)

// AuthStyle is how the token request carries the client credentials.
type AuthStyle string

// The styles; the zero value means AuthBody.
const (
	AuthBody  AuthStyle = "body"  // in the form
	AuthBasic AuthStyle = "basic" // in an Authorization header, form-encoded first (RFC 6749, 2.3.1)
)

// Credentials are the client credentials of a MySafe access key and all that it
// takes to use them. They show themselves in no print, log or encoding, unless
// they sit in an unexported field, which fmt prints without asking their methods:
// keep them behind a function there.
type Credentials struct {
	masked

	BaseURL           string // https address of Segura, with or without a trailing slash or a path prefix
	TokenURL          string // Access Token URL; empty: {BaseURL}/api/oauth2/token
	ClientID          string
	ClientSecret      Sensitive
	Tenant            string // parameter of the token request; empty: not sent
	CACertificate     string // PEM bundle, trusted instead of the system's roots; empty: those
	ClientCertificate string // PEM, with ClientKey; both or neither
	ClientKey         Sensitive
	Referer           string // header of every request; empty: not sent
	EnablePath        string // with {identifier}; empty: DefaultEnablePath
	DisablePath       string // with {identifier}; empty: DefaultDisablePath
	AuthStyle         AuthStyle
}

// Digest tells credentials apart that differ in any value, without keeping them.
func (c Credentials) Digest() [sha256.Size]byte {
	h := sha256.New()
	for _, value := range []string{
		c.BaseURL, c.TokenURL, c.ClientID, c.ClientSecret.Reveal(), c.Tenant, c.CACertificate, c.ClientCertificate,
		c.ClientKey.Reveal(), c.Referer, c.EnablePath, c.DisablePath, string(c.AuthStyle),
	} {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(value), value) // a hash takes everything
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// secretTexts returns every text that must not be seen outside. Certificates are
// public.
func (c Credentials) secretTexts() *secretTexts {
	basic := url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(c.ClientSecret.Reveal())
	bare := func(address string) string { return strings.TrimPrefix(address, "https://") } // which many a text has
	return newSecretTexts(c.ClientSecret.Reveal(), c.ClientID, c.Tenant, bare(c.Referer), c.ClientKey.Reveal(), basic,
		bare(c.BaseURL), bare(c.TokenURL), c.EnablePath, c.DisablePath)
}
