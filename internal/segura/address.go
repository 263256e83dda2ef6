package segura

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"segura-enable/internal/apisecret"
)

// The paths below the base URL. Segura's page "POST | Enable API secret" heads
// its request with /api/mysafe/password/active/[identifier] and then shows
// /api/mysafe/secretapi/active/5. The first is the route that enables the
// password of that number, another object altogether: it is never called.
const (
	DefaultEnablePath  = "/api/mysafe/secretapi/active/" + placeholder
	DefaultDisablePath = "/api/mysafe/secretapi/inactive/" + placeholder
	tokenPath          = "/api/oauth2/token" //nolint:gosec // G101: a path, no credential.
	listPath           = "/api/mysafe/secretapi"
	placeholder        = "{identifier}"
	passwordRoute      = "/mysafe/password/"
)

// addresses are the URLs of one Segura.
type addresses struct {
	base    *url.URL
	token   string
	enable  string // with the placeholder
	disable string // with the placeholder
	list    string
}

// newAddresses checks the addresses in the credentials. Errors name the field
// and repeat no value.
func newAddresses(c Credentials) (addresses, error) {
	base, err := parseAddress("base_url", c.BaseURL)
	if err != nil {
		return addresses{}, err
	}
	prefix := strings.TrimRight(base.String(), "/")
	a := addresses{base: base, token: prefix + tokenPath, list: prefix + listPath}
	if c.TokenURL != "" {
		token, err := parseAddress("token_url", c.TokenURL)
		if err != nil {
			return addresses{}, err
		}
		a.token = token.String()
	}
	if a.enable, err = join("enable_path", prefix, c.EnablePath, DefaultEnablePath); err != nil {
		return addresses{}, err
	}
	a.disable, err = join("disable_path", prefix, c.DisablePath, DefaultDisablePath)
	return a, err
}

func parseAddress(field, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", field)
	case u.Scheme != "https":
		return nil, fmt.Errorf("%s does not begin with https://", field)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%s names no host", field)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%s holds a user, a query or a fragment", field)
	case u.Port() != "" && !isPort(u.Port()):
		return nil, fmt.Errorf("%s has a port that is none from 1 to 65535", field)
	}
	return u, checkRoute(field, u)
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// join returns the address of a path below the prefix, the placeholder still in
// it.
func join(field, prefix, text, standard string) (string, error) {
	text = cmp.Or(text, standard)
	if !strings.HasPrefix(text, "/") {
		return "", fmt.Errorf("%s does not begin with a slash", field)
	}
	if strings.ContainsAny(text, "?#\\") {
		return "", fmt.Errorf("%s is not a plain path", field)
	}
	if strings.Count(text, placeholder) != 1 || !slices.Contains(strings.Split(text, "/"), placeholder) {
		return "", fmt.Errorf("%s does not have %s as one of its segments, once", field, placeholder)
	}
	u, err := url.Parse(prefix + strings.Replace(text, placeholder, "1", 1))
	if err != nil {
		return "", fmt.Errorf("%s is not a plain path", field)
	}
	return prefix + text, checkRoute(field, u)
}

// checkRoute refuses the route of passwords however it is spelled: in other
// letter case, percent-encoded, or with empty, "." or ".." segments.
func checkRoute(field string, u *url.URL) error {
	decoded := u.Path
	for range 3 {
		// Cleaning takes the trailing slash away.
		if strings.Contains(strings.ToLower(path.Clean(decoded)+"/"), passwordRoute) {
			return fmt.Errorf("%s leads to the route of passwords, another object of Segura's", field)
		}
		again, err := url.PathUnescape(decoded)
		if err != nil {
			break
		}
		decoded = again
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("%s has a dot segment", field)
		}
	}
	return nil
}

// call returns the address at which the identifier is enabled or disabled.
func (a addresses) call(action apisecret.Action, i apisecret.Identifier) string {
	pattern := a.enable
	if action == apisecret.Disable {
		pattern = a.disable
	}
	return strings.Replace(pattern, placeholder, url.PathEscape(i.String()), 1)
}
