package httpapi

import (
	"errors"
	"fmt"
	"net/http"

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

// request returns what is asked for, or says why it is refused.
func (r *Request) request() (apisecret.Request, *Problem) {
	to, ok := routeOf(r.Segments)
	if !ok {
		return apisecret.Request{}, NoSuchPath()
	}
	if r.Method != http.MethodPost {
		return apisecret.Request{}, WrongMethod(http.MethodPost)
	}
	body, problem := r.Body()
	if problem != nil {
		return apisecret.Request{}, problem
	}
	request, err := to.read(body)
	if err != nil {
		return apisecret.Request{}, Invalid(err.Error())
	}
	return request, nil
}

// routeOf finds the route of a path's segments. The path ends with the route, and the
// collection's name stands in no other place: behind a prefix such as api-secrets/5/
// that an IAM policy allows, nothing else is reached.
func routeOf(rest []string) (route, bool) {
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
