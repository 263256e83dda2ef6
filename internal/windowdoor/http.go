package windowdoor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/strictjson"
	"segura-enable/internal/window"
)

// Limits of lists.
const (
	defaultLimit = 25
	maxLimit     = 100
)

// answer carries out a request to a path with a method.
type answer func(context.Context, *httpapi.Request) (httpapi.Response, *httpapi.Problem)

// serve answers an HTTP request.
func (h *Handler) serve(ctx context.Context, payload []byte) (httpapi.Response, *httpapi.Problem) {
	r, problem := httpapi.Read(payload, "windows")
	if problem != nil {
		return httpapi.Response{}, problem
	}
	var served map[string]answer // by method
	switch s := r.Segments; {
	case len(s) == 0:
		served = map[string]answer{http.MethodGet: h.list, http.MethodPost: h.carryOut(window.ToOpen)}
	case len(s) == 1:
		served = map[string]answer{http.MethodGet: h.show}
	case len(s) == 2 && s[1] == "extend":
		served = map[string]answer{http.MethodPost: h.carryOut(window.ToExtend)}
	case len(s) == 2 && s[1] == "close":
		served = map[string]answer{http.MethodPost: h.carryOut(window.ToClose)}
	default:
		return httpapi.Response{}, httpapi.NoSuchPath()
	}
	serve := served[r.Method]
	if serve == nil {
		return httpapi.Response{}, httpapi.WrongMethod(strings.Join(slices.Sorted(maps.Keys(served)), ", "))
	}
	return serve(ctx, &r)
}

func (h *Handler) show(ctx context.Context, r *httpapi.Request) (httpapi.Response, *httpapi.Problem) {
	w, fault := h.Windows.Find(ctx, r.Segments[0])
	if fault != nil {
		return httpapi.Response{}, problemOf(fault)
	}
	return httpapi.JSON(http.StatusOK, document(w, httpapi.MaxResult)), nil
}

// carryOut answers a request to open, extend or close a window.
func (h *Handler) carryOut(kind window.Kind) answer {
	return func(ctx context.Context, r *httpapi.Request) (httpapi.Response, *httpapi.Problem) {
		body, problem := r.Body()
		if problem != nil {
			return httpapi.Response{}, problem
		}
		request, err := readRequest(kind, body, r)
		if err != nil {
			return httpapi.Response{}, httpapi.Invalid(err.Error())
		}
		w, created, fault := h.Windows.Do(ctx, request)
		if fault != nil {
			return httpapi.Response{}, problemOf(fault)
		}
		response := httpapi.JSON(http.StatusOK, document(w, httpapi.MaxResult))
		if created {
			response.StatusCode, response.Headers["Location"] = http.StatusCreated, "/windows/"+w.ID
		}
		return response, nil
	}
}

func readRequest(kind window.Kind, body []byte, r *httpapi.Request) (request window.Request, err error) {
	id := strings.Join(r.Segments[:min(1, len(r.Segments))], "")
	if kind == window.ToClose && len(body) == 0 {
		body = []byte("{}")
	}
	if request, err = window.ReadRequest(kind, body, id, httpapi.MaxIdentifiers); err != nil {
		return request, err
	}
	request.Caller = r.Caller
	if keys := r.Header("Idempotency-Key"); len(keys) > 0 && kind != window.ToClose {
		if request.Key, err = one("Idempotency-Key", keys); err == nil {
			err = window.CheckKey(request.Key)
		}
	}
	return request, err
}

// one returns the only value of a header or of a parameter; empty: there is none.
func one(name string, values []string) (string, error) {
	if len(values) > 1 {
		return "", errors.New(name + " is given more than once")
	}
	return strings.Join(values, ""), nil
}

// page is a list on the wire.
type page struct {
	Windows []json.RawMessage `json:"windows"`
	Next    string            `json:"next,omitempty"`
}

// roomForPage is kept of a page for what is not a window, in bytes.
const roomForPage = 1 << 10

func (h *Handler) list(ctx context.Context, r *httpapi.Request) (httpapi.Response, *httpapi.Problem) {
	values, problem := r.Query()
	if problem != nil {
		return httpapi.Response{}, problem
	}
	q, err := query(values)
	if err != nil {
		return httpapi.Response{}, httpapi.Invalid(err.Error())
	}
	list, more, fault := h.Windows.List(ctx, q)
	if fault != nil {
		return httpapi.Response{}, problemOf(fault)
	}
	p := page{Windows: []json.RawMessage{}}
	room := httpapi.MaxResult - roomForPage
	for at, w := range list {
		text := document(w, httpapi.MaxResult-roomForPage)
		if room -= httpapi.Escaped(text) + 1; room < 0 && at > 0 {
			more = &q
			more.After, more.AfterEnd = list[at-1].ID, list[at-1].Until
			break
		}
		p.Windows = append(p.Windows, text)
	}
	if more != nil {
		p.Next = base64.RawURLEncoding.EncodeToString(strictjson.Encode([]any{more.After, more.AfterEnd}))
	}
	return httpapi.JSON(http.StatusOK, strictjson.Encode(p)), nil
}

// query reads what a list is to hold.
func query(values map[string][]string) (window.Query, error) {
	q := window.Query{Limit: defaultLimit}
	for name, several := range values {
		text, err := one(name, several)
		if err != nil {
			return q, err
		}
		switch name {
		case "state":
			switch q.State = window.State(text); q.State {
			case "live":
				q.State = ""
			case window.Scheduled, window.Open, window.Closing, window.Closed:
			default:
				return q, errors.New("state is none of live, scheduled, open, closing and closed")
			}
		case "identifier":
			if q.Identifier, err = apisecret.ParseIdentifier(text); err != nil {
				return q, errors.New("identifier is " + err.Error())
			}
		case "limit":
			q.Limit, err = strconv.Atoi(text)
			if err != nil || q.Limit < 1 || q.Limit > maxLimit || strconv.Itoa(q.Limit) != text {
				return q, errors.New("limit is not a number from 1 to 100")
			}
		case "next":
			decoded, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil || json.Unmarshal(decoded, &[]any{&q.After, &q.AfterEnd}) != nil || !window.IsID(q.After) {
				return q, errors.New("next is not what a list ended with")
			}
		default:
			return q, errors.New("unknown parameter " + strictjson.Quote(name))
		}
	}
	return q, nil
}
