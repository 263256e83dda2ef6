package windowdoor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/event"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/strictjson"
	"segura-enable/internal/telemetry"
	"segura-enable/internal/window"
)

// maxIdentifiers is how many identifiers a window may hold that an event opens.
const maxIdentifiers = 1000

// handle carries out an event.
func (h *Handler) handle(ctx context.Context, payload []byte) ([]byte, error) {
	if request, ok := readResource(payload); ok {
		return nil, h.resource(ctx, request)
	}
	opened, err := event.Open(payload, h.AllowedSources)
	if err != nil {
		return nil, event.Fail(ctx, h.Log, event.InvalidRequest, err.Error())
	}
	c, err := readCommand(opened.Data, opened.InDetail)
	if err != nil {
		return nil, event.Fail(ctx, h.Log, event.InvalidRequest, err.Error())
	}
	c.request.Caller = opened.Origin.Caller
	switch c.asked[0] {
	case "check":
		return h.check(ctx, c.checked)
	case "reconcile":
		return h.report(ctx, func() (window.Report, error) { return h.Windows.Reconcile(ctx) })
	case "close_all":
		return h.report(ctx, func() (window.Report, error) { return h.Windows.CloseAll(ctx, c.request, false) })
	}
	w, _, fault := h.Windows.Do(ctx, c.request)
	if fault != nil {
		kind := event.PermanentError
		if fault.Failure.Retryable {
			kind = event.TransientError
		}
		return nil, event.Fail(ctx, h.Log, kind, string(problemOf(fault).Text(telemetry.RequestID(ctx))))
	}
	return document(w, httpapi.MaxResult), nil
}

// report carries out a reconcile and leaves its metrics.
func (h *Handler) report(ctx context.Context, do func() (window.Report, error)) ([]byte, error) {
	report, err := do()
	if err != nil {
		h.Log.ErrorContext(ctx, "the table of windows could not be used", "cause", err.Error())
		return nil, event.Fail(ctx, h.Log, event.TransientError, "The table of windows could not be read or written. What was done stays, and the next run goes on.")
	}
	telemetry.Count(ctx, "Reconciled", 1)
	telemetry.Count(ctx, "WindowsOpen", report.Open)
	telemetry.Count(ctx, "WindowsOverdue", report.Overdue)
	telemetry.Count(ctx, "DriftRepaired", report.Drift)
	return strictjson.Encode(report), nil
}

// command is a document, read.
type command struct {
	asked   []string // its fields that say what is to be done
	request window.Request
	checked []apisecret.Identifier // by the self-check
}

// inDetails are the fields that are read in a detail: what opens, extends or closes a
// window. The rest is someone else's, unless it is one of them in other letter case.
var inDetails = []string{"window", "extend", "close", "idempotency_key"}

// readCommand reads a document.
func readCommand(data []byte, inDetail bool) (c command, err error) {
	members, err := strictjson.Object(data)
	if inDetail {
		members = slices.DeleteFunc(members, func(m strictjson.Member) bool {
			return !slices.ContainsFunc(inDetails, func(known string) bool { return strings.EqualFold(known, m.Name) })
		})
	}
	if err != nil {
		return command{}, err
	}
	var key string
	var reason *string
	for _, m := range members {
		switch m.Name {
		case "window", "extend", "close":
			c.request, err = window.ReadRequest(window.Kind(m.Name), m.Value, "", maxIdentifiers)
		case "reconcile", "close_all":
			if string(m.Value) != "true" {
				err = errors.New("it can only be true")
			}
		case "check":
			return readCheck(data)
		case "idempotency_key":
			key, _ = strictjson.String(m.Value) // what is no string is no key, as an empty one
			err = window.CheckKey(key)
		case "reason":
			reason = new(string)
			*reason, err = apisecret.ReadReason(m.Value)
		default:
			return command{}, fmt.Errorf("unknown field %s", strictjson.Quote(m.Name))
		}
		if err != nil {
			return command{}, fmt.Errorf("%s: %w", strictjson.Quote(m.Name), err)
		}
		if m.Name != "idempotency_key" && m.Name != "reason" {
			c.asked = append(c.asked, m.Name)
		}
	}
	return c, c.complete(key, reason)
}

// readCheck reads the wish for a self-check.
func readCheck(data []byte) (command, error) {
	form := apisecret.Form{Fields: []apisecret.Field{apisecret.FieldCheck, apisecret.FieldIdentifiers}, MaxIdentifiers: apisecret.MaxIdentifiers}
	document, err := form.Read(data)
	return command{asked: []string{"check"}, checked: document.Identifiers}, err
}

// complete checks what no field can tell alone, and takes what stands beside the others.
func (c *command) complete(key string, reason *string) error {
	is := func(names ...string) bool { return slices.Contains(names, c.asked[0]) }
	switch {
	case len(c.asked) != 1:
		return errors.New("exactly one of window, extend, close, reconcile, close_all and check is required")
	case key != "" && !is("window", "extend"):
		return errors.New("idempotency_key belongs to window or extend")
	case reason != nil && !is("close_all"):
		return errors.New("reason stands inside window, extend or close, or beside close_all")
	case reason != nil:
		c.request.Reason = *reason
	}
	c.request.Key = key
	return nil
}

// check is the self-check, with the table for a last step.
func (h *Handler) check(ctx context.Context, identifiers []apisecret.Identifier) ([]byte, error) {
	result := h.Runner.Check(ctx, identifiers)
	result.Do("table", func(*activation.Step) *apisecret.Error {
		if _, _, err := h.Windows.Table.Due(ctx, window.Now()); err != nil {
			h.Log.ErrorContext(ctx, "the table of windows could not be used", "cause", err.Error())
			return apisecret.NewError(apisecret.WindowsUnavailable, "The table of windows cannot be read. Check SEGURA_WINDOWS_TABLE and the function's permissions; the cause is in the log.")
		}
		return nil
	})
	return event.Checked(ctx, h.Log, result)
}
