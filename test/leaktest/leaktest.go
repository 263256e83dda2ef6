// Package leaktest looks for secret values in what the compiled functions say: whole, in
// part, and in the forms in which they travel.
package leaktest

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// Parts of a value, in bytes, that must not show, for [Find].
const (
	ShortPart = 8  // of values that are random
	WordPart  = 14 // of those that have words in them
)

// encodedPart is how long a part in base64 or of a URL has to be to be told from chance.
const encodedPart = 12

// Values are those of a stack that must show nowhere, and what they are: the stack's
// own, and the client secrets that Segura has had besides its present one.
func Values(s *stage.Stack, clientSecrets ...string) map[string]string {
	values := s.Confidential()
	values[runtimeapi.AccessKeyID] = "the AWS access key id"
	values["eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"] = "a token's type"
	values[s.Segura.ClientID()] = "the client_id"
	_, ours := s.Segura.ClientCertificate()
	_, strangers := s.Segura.StrangerCertificate()
	for _, pem := range []string{ours, strangers} {
		lines := strings.Split(strings.TrimSpace(pem), "\n")
		values[strings.Join(lines[1:len(lines)-1], "")] = "a private key"
	}
	for _, secret := range append(clientSecrets, s.Segura.ClientSecret()) {
		values[secret] = "a client_secret"
		pair := url.QueryEscape(s.Segura.ClientID()) + ":" + url.QueryEscape(secret)
		values[base64.StdEncoding.EncodeToString([]byte(pair))] = "Basic credentials"
	}
	return values
}

// Find returns where the text shows values, as they are, escaped for a URL or in base64:
// parts of so many bytes, or, where a value has not twice as many, all of it.
func Find(text string, part int, values map[string]string) (shown []string) {
	parts := map[int]map[string]string{} // by their length
	add := func(value, what string, n int) {
		if len(value) < 2*n {
			n = len(value)
		}
		if parts[n] == nil {
			parts[n] = map[string]string{}
		}
		for at := 0; n > 0 && at+n <= len(value); at++ {
			parts[n][value[at:at+n]] = what
		}
	}
	for value, what := range values {
		add(value, what, part)
		add(url.QueryEscape(value), what+", url-encoded", max(part, encodedPart))
		add(base64.StdEncoding.EncodeToString([]byte(value)), what+" in base64", max(part, encodedPart))
	}
	for n, of := range parts {
		for at := 0; n > 0 && at+n <= len(text); at++ {
			if what, shows := of[text[at:at+n]]; shows {
				shown = append(shown, fmt.Sprintf("%s: …%s…", what, text[max(0, at-200):min(len(text), at+100)]))
				at += n
			}
		}
	}
	return shown
}
