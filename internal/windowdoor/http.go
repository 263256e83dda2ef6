package windowdoor

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

// methods are what a path is served with.
type methods map[string]func(context.Context, *httpapi.Request) (httpapi.Response, *httpapi.Problem)

// serve answers an HTTP request.
func (h *Handler) serve(ctx context.Context, payload []byte) (httpapi.Response, *httpapi.Problem) {
	r, problem := httpapi.Read(payload, "windows")
	if problem != nil {
		return httpapi.Response{}, problem
	}
	var served methods
	switch s := r.Segments; {
	case len(s) == 0:
		served = methods{http.MethodGet: h.list, http.MethodPost: h.open}
	case len(s) == 1:
		served = methods{http.MethodGet: h.show}
	case len(s) == 2 && s[1] == "extend":
		served = methods{http.MethodPost: h.extend}
	case len(s) == 2 && s[1] == "close":
		served = methods{http.MethodPost: h.close}
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
	result, fault := h.Windows.Find(ctx, r.Segments[0])
	return answer(result, fault)
}

func answer(result window.Result, fault *window.Problem) (httpapi.Response, *httpapi.Problem) {
	if fault != nil {
		return httpapi.Response{}, problemOf(fault)
	}
	return httpapi.JSON(http.StatusOK, document(result, httpapi.MaxResult)), nil
}

// read returns the request's body, read.
func read[T any](r *httpapi.Request, parse func(body []byte) (T, error)) (document T, _ *httpapi.Problem) {
	body, problem := r.Body()
	if problem != nil {
		return document, problem
	}
	document, err := parse(body)
	if err != nil {
		return document, httpapi.Invalid(err.Error())
	}
	return document, nil
}

// key returns the request's idempotency key; empty: it has none.
func key(r *httpapi.Request) (string, *httpapi.Problem) {
	values := r.Header("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	text, problem := one("Idempotency-Key", values)
	if problem != nil {
		return "", problem
	}
	if err := window.CheckKey(text); err != nil {
		return "", httpapi.Invalid(err.Error())
	}
	return text, nil
}

func (h *Handler) open(ctx context.Context, r *httpapi.Request) (httpapi.Response, *httpapi.Problem) {
	request, problem := read(r, func(body []byte) (window.Request, error) { return window.ReadRequest(body, httpapi.MaxIdentifiers) })
	if problem != nil {
		return httpapi.Response{}, problem
	}
	name, problem := key(r)
	if problem != nil {
		return httpapi.Response{}, problem
	}
	result, fault := h.Windows.Open(ctx, request, name, r.Caller)
	if fault != nil || !result.New {
		return answer(result, fault)
	}
	response := httpapi.JSON(http.StatusCreated, document(result, httpapi.MaxResult))
	response.Headers["Location"] = "/windows/" + result.Window.ID
	return response, nil
}

func (h *Handler) extend(ctx context.Context, r *httpapi.Request) (httpapi.Response, *httpapi.Problem) {
	e, problem := read(r, func(body []byte) (window.Extending, error) { return window.ReadExtending(body, false) })
	if problem != nil {
		return httpapi.Response{}, problem
	}
	name, problem := key(r)
	if problem != nil {
		return httpapi.Response{}, problem
	}
	result, fault := h.Windows.Extend(ctx, r.Segments[0], e, name, r.Caller)
	return answer(result, fault)
}

func (h *Handler) close(ctx context.Context, r *httpapi.Request) (httpapi.Response, *httpapi.Problem) {
	e, problem := read(r, func(body []byte) (e window.Ender, err error) {
		if len(body) > 0 {
			e, err = window.ReadEnder(body, false)
		}
		return e, err
	})
	if problem != nil {
		return httpapi.Response{}, problem
	}
	result, fault := h.Windows.Close(ctx, r.Segments[0], e, r.Caller)
	return answer(result, fault)
}

// page is a list on the wire.
type page struct {
	Windows []json.RawMessage `json:"windows"`
	Next    string            `json:"next,omitempty"`
}

// roomForPage is kept of a page for what is not a window, in bytes.
const roomForPage = 1 << 10

func (h *Handler) list(ctx context.Context, r *httpapi.Request) (httpapi.Response, *httpapi.Problem) {
	q, problem := query(r)
	if problem != nil {
		return httpapi.Response{}, problem
	}
	list, more, fault := h.Windows.List(ctx, q)
	if fault != nil {
		return httpapi.Response{}, problemOf(fault)
	}
	p := page{Windows: []json.RawMessage{}}
	room := httpapi.MaxResult - roomForPage
	for at, one := range list {
		text := document(one, httpapi.MaxResult-roomForPage)
		if room -= httpapi.Escaped(text) + 1; room < 0 && at > 0 {
			last := list[at-1].Window
			more = &q
			more.After, more.AfterEnd = last.ID, last.Until
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
func query(r *httpapi.Request) (window.Query, *httpapi.Problem) {
	q := window.Query{Limit: defaultLimit}
	values, problem := r.Query()
	if problem != nil {
		return q, problem
	}
	for name, several := range values {
		text, problem := one(name, several)
		if problem != nil {
			return q, problem
		}
		why := ""
		switch name {
		case "state":
			why = readState(text, &q)
		case "identifier":
			i, err := apisecret.ParseIdentifier(text)
			if q.Identifier = i; err != nil {
				why = "identifier is " + err.Error()
			}
		case "limit":
			n, err := strconv.Atoi(text)
			if q.Limit = n; err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != text {
				why = "limit is not a number from 1 to 100"
			}
		case "next":
			why = readNext(text, &q)
		default:
			why = "unknown parameter " + strictjson.Quote(name)
		}
		if why != "" {
			return q, httpapi.Invalid(why)
		}
	}
	return q, nil
}

func readState(text string, q *window.Query) string {
	switch s := window.State(text); s {
	case "live":
	case window.Scheduled, window.Open, window.Closing, window.Closed:
		q.State = s
	default:
		return "state is none of live, scheduled, open, closing and closed"
	}
	return ""
}

func readNext(text string, q *window.Query) string {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	parts := []any{&q.After, &q.AfterEnd}
	if err != nil || json.Unmarshal(decoded, &parts) != nil || !window.IsID(q.After) {
		return "next is not what a list ended with"
	}
	return ""
}
