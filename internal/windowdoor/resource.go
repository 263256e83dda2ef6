package windowdoor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-lambda-go/cfn"

	"segura-enable/internal/event"
	"segura-enable/internal/window"
)

// The custom resource of the stack: while it is there and its property WindowsEnabled is
// not "false", windows are on. Its deletion, and an update that switches windows off,
// close all windows first; where they cannot be, the operation fails and CloudFormation
// rolls it back.
const (
	physicalID      = "windows" // always the same: another one would have the resource deleted
	enabledProperty = "WindowsEnabled"
)

// readResource reports whether the payload is CloudFormation's request of a custom
// resource. cfn.LambdaWrap cannot be used: it takes every event for one.
func readResource(payload []byte) (request cfn.Event, ok bool) {
	err := json.Unmarshal(payload, &request)
	return request, err == nil && request.RequestType != "" && request.ResponseURL != "" && request.StackID != ""
}

// resource answers CloudFormation at the address that it names. An answer that does not
// arrive is a function error, and Lambda repeats the event.
func (h *Handler) resource(ctx context.Context, request cfn.Event) error {
	response := cfn.NewResponse(&request)
	response.PhysicalResourceID, response.Status = physicalID, cfn.StatusSuccess
	if request.RequestType == cfn.RequestDelete || fmt.Sprint(request.ResourceProperties[enabledProperty]) == "false" {
		if why := h.closeForStack(ctx, request); why != "" {
			response.Status, response.Reason = cfn.StatusFailed, why
		}
	}
	h.Log.InfoContext(ctx, "custom resource", "request", string(request.RequestType), "status", string(response.Status), "cause", response.Reason)
	if err := response.Send(); err != nil {
		h.Log.ErrorContext(ctx, "CloudFormation could not be answered", "cause", withoutAddress(err))
		return event.Fail(ctx, h.Log, event.TransientError, "CloudFormation could not be answered; the log has the cause.")
	}
	return nil
}

// withoutAddress returns the error's text without CloudFormation's address, whose query
// allows whoever has it to answer in our place.
func withoutAddress(err error) string {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return err.Error()
}

// forAnswer is kept of the time, for the answer to CloudFormation.
const forAnswer = 6 * time.Second

// closeForStack closes all windows, or says why not.
func (h *Handler) closeForStack(ctx context.Context, request cfn.Event) string {
	reason := "windows switched off"
	if request.RequestType == cfn.RequestDelete {
		reason = "stack deleted"
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-forAnswer))
		defer cancel()
	}
	report, err := h.Windows.CloseAll(ctx, window.Request{Reason: reason, Caller: request.StackID}, true)
	switch {
	case err != nil:
		h.Log.ErrorContext(ctx, "the table of windows could not be used", "cause", err.Error())
		return "The table of windows could not be read or written; the log has the cause."
	case report.Live > 0:
		return fmt.Sprintf("%d windows could not be closed: what they hold could not be disabled yet. See the audit log, mend it and repeat.", report.Live)
	default:
		return ""
	}
}
