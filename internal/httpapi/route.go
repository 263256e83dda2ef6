package httpapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"segura-enable/internal/apisecret"
)

// collection is the segment below which everything is.
const collection = "api-secrets"

// route is a path that is served.
type route struct {
	action apisecret.Action
	one    bool   // one identifier is in the path
	text   string // that identifier, not yet read
}

// routeOf finds the route of a path that a stage, a base path mapping or a
// {proxy+} resource may have put a prefix in front of. The path ends with the
// route, and the collection's name stands in no other place: behind a prefix
// such as api-secrets/5/ that an IAM policy allows, nothing else is reached. Repeated
// and trailing slashes mean nothing: a function URL ends in one.
func routeOf(path string) (route, bool) {
	if !strings.HasPrefix(path, "/") {
		return route{}, false
	}
	segments := slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
	if slices.Contains(segments, ".") || slices.Contains(segments, "..") {
		return route{}, false
	}
	at := slices.Index(segments, collection)
	if at < 0 {
		return route{}, false
	}
	rest := segments[at+1:]
	for len(rest) > 0 && rest[0] == collection { // a stage or a mapping of the same name
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return route{}, false
	}
	r := route{action: apisecret.Action(rest[len(rest)-1])}
	if r.action != apisecret.Enable && r.action != apisecret.Disable {
		return route{}, false
	}
	switch len(rest) {
	case 1:
		return r, true
	case 2:
		r.one, r.text = true, rest[0]
		return r, true
	default:
		return route{}, false
	}
}

// read reads the request that a body makes of the route.
func (r route) read(body []byte) (apisecret.Request, error) {
	if !r.one {
		if len(body) == 0 {
			return apisecret.Request{}, errors.New("a body with identifier or identifiers is required")
		}
		form := apisecret.Form{
			Fields:         []apisecret.Field{apisecret.FieldIdentifier, apisecret.FieldIdentifiers, apisecret.FieldReason},
			MaxIdentifiers: MaxIdentifiers,
		}
		document, err := form.Read(body)
		document.Action = r.action
		return document.Request, err
	}
	i, err := apisecret.ParseIdentifier(r.text)
	if err != nil {
		return apisecret.Request{}, fmt.Errorf("the identifier in the path is %w", err)
	}
	request := apisecret.Request{Action: r.action, Identifiers: []apisecret.Identifier{i}, Single: true}
	if len(body) > 0 {
		document, err := apisecret.Form{Fields: []apisecret.Field{apisecret.FieldReason}}.Read(body)
		if err != nil {
			return apisecret.Request{}, err
		}
		request.Reason = document.Reason
	}
	return request, nil
}
