package windowdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/event"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/telemetry"
	"segura-enable/internal/window"
	"segura-enable/simulated/dynamodb"
	"segura-enable/test/windowtest"
)

// segura stands for Segura and for all that calls it.
type segura struct {
	mu      sync.Mutex
	enabled map[apisecret.Identifier]bool
	down    bool
	calls   int
	told    int // calls that the audit log tells of
	reason  string
}

// Call implements window.Caller.
func (s *segura) Call(_ context.Context, orders []activation.Call) []activation.Done {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]activation.Done, len(orders))
	for at, o := range orders {
		s.calls++
		s.reason = o.Reason
		item := apisecret.Item{Identifier: o.Identifier, Attempts: 1, Outcome: o.Action.Unchanged()}
		enable := o.Action == apisecret.Enable
		switch {
		case s.down:
			item.Outcome, item.Error = apisecret.Failed, apisecret.NewError(apisecret.RateLimited, "")
		case s.enabled[o.Identifier] != enable:
			item.Outcome = o.Action.Changed()
			s.enabled[o.Identifier] = enable
		}
		if o.Audited(item) {
			s.told++
		}
		all[at] = activation.Done{Item: item}
	}
	return all
}

func newHandler(t *testing.T) (*Handler, *segura, *dynamodb.Server) {
	t.Helper()
	table, server := windowtest.Start(t)
	s := &segura{enabled: map[apisecret.Identifier]bool{}}
	log := slog.New(slog.DiscardHandler)
	return &Handler{
		Windows: &window.Keeper{
			Table:  table,
			Caller: s, Longest: 24 * time.Hour, AttemptTimeout: time.Second, FirstCalls: 100, Log: log,
		},
		Telemetry: telemetry.New(telemetry.Options{Out: io.Discard}), Log: log,
	}, s, server
}

func (h *Handler) send(t *testing.T, document string) string {
	t.Helper()
	reply, err := h.Invoke(t.Context(), []byte(document))
	if err != nil {
		return err.Error()
	}
	return string(reply)
}

func TestReconcile_theGuardDisablesWhatNoWindowHolds(t *testing.T) {
	h, s, _ := newHandler(t)
	h.Windows.Guarded = []apisecret.Identifier{1, 2, 3, 4}
	s.enabled[1], s.enabled[2], s.enabled[4] = true, true, true
	now := window.Now()
	ending := window.Opened(window.NewID(time.Now()), now-60, now-1, []apisecret.Identifier{4})
	ending.Leases[0].State = window.Enabled // and so many are at it that nobody else may be
	ending.Marks = slices.Repeat([]window.Mark{{Actor: "another", Kind: apisecret.Disable, LandBy: now + 60, Identifiers: []apisecret.Identifier{4}}}, 5)
	if err := h.Windows.Table.Write(t.Context(), ending, nil, nil); err != nil {
		t.Fatal(err)
	}
	h.send(t, `{"window":{"identifiers":[2],"for":"PT1H"}}`)
	if err := h.Windows.Table.NoteGuarded(t.Context(), window.Now()-3600); err != nil {
		t.Fatal(err)
	}

	got := h.send(t, `{"reconcile":true}`)
	calls := s.calls
	again := h.send(t, `{"reconcile":true}`)

	if want := `{"open":1,"enabled":0,"disabled":0,"overdue":1,"failed":0,"drift":1}`; got != want || s.enabled[1] || !s.enabled[2] || !s.enabled[4] {
		t.Errorf("got %s, want %s; enabled: %v", got, want, s.enabled)
	}
	if s.told != 2 {
		t.Errorf("got %d audit lines, want one of the window and one of the drift", s.told)
	}
	if want := `{"open":1,"enabled":0,"disabled":0,"overdue":1,"failed":0,"drift":0}`; again != want || s.calls != calls {
		t.Errorf("again: got %s, and %d calls, want %s", again, s.calls-calls, want)
	}
}

func TestReconcile_leavesTheWorkToWhoeverHasTheLock(t *testing.T) {
	h, s, _ := newHandler(t)
	s.down = true
	h.send(t, `{"window":{"identifiers":[1],"for":"PT1H"}}`)
	s.down = false
	calls, now := s.calls, window.Now()
	if free, err := h.Windows.Table.Lock(t.Context(), "another", now, now+60); !free || err != nil {
		t.Fatal(free, err)
	}

	got := h.send(t, `{"reconcile":true}`)

	if want := `{"open":1,"enabled":0,"disabled":0,"overdue":0,"failed":0,"drift":0}`; got != want || s.calls != calls {
		t.Errorf("got %s and %d calls, want %s and none", got, s.calls-calls, want)
	}
}

func TestReconcile_reportsWhatIsOverdueAndGoesOn(t *testing.T) {
	h, s, _ := newHandler(t)
	opened := h.send(t, `{"window":{"identifiers":[1,2],"for":"PT1H"}}`)
	s.down = true

	closing := h.send(t, `{"close":{"id":"`+idOf(t, opened)+`"}}`)
	late := h.send(t, `{"reconcile":true}`)
	s.down = false
	done := h.send(t, `{"reconcile":true}`)

	if !strings.Contains(closing, `"state":"closing"`) || !strings.Contains(closing, `"state":"enabled"`) || !strings.Contains(closing, `"code":"rate_limited"`) {
		t.Errorf("closing: %s", closing)
	}
	if want := `{"open":0,"enabled":0,"disabled":0,"overdue":2,"failed":2,"drift":0}`; late != want {
		t.Errorf("got %s, want %s", late, want)
	}
	if want := `{"open":0,"enabled":0,"disabled":2,"overdue":0,"failed":0,"drift":0}`; done != want || s.enabled[1] {
		t.Errorf("got %s, want %s", done, want)
	}
}

func TestReconcile_aThousandIdentifiersInOneWindow(t *testing.T) {
	h, s, _ := newHandler(t)
	list := make([]int, 1000)
	for at := range list {
		list[at] = at + 1
	}
	text, _ := json.Marshal(map[string]any{"window": map[string]any{"identifiers": list, "for": "PT1H"}})

	opened := h.send(t, string(text))
	enabled := len(s.enabled)
	h.send(t, `{"close_all":true,"reason":"done"}`)

	if s.reason != "done" {
		t.Errorf("got the reason %q", s.reason)
	}
	if enabled != 1000 || !strings.Contains(opened, `{"identifier":1000,"state":"enabled"`) {
		t.Errorf("got %d enabled: %.300s", enabled, opened)
	}
	for i, on := range s.enabled {
		if on {
			t.Errorf("%d is still enabled", i)
		}
	}
}

func TestReconcile_oneThatEndsWhereAnotherBeginsIsTakenOverWithoutACall(t *testing.T) {
	h, s, _ := newHandler(t)
	end := window.Now() + 2
	h.send(t, `{"window":{"identifiers":[1],"until":"`+end.String()+`"}}`)
	h.send(t, `{"window":{"identifiers":[1],"from":"`+end.String()+`","for":"PT1H"}}`)
	calls := s.calls
	timer := time.NewTimer(time.Until(end.Time()))
	<-timer.C

	got := h.send(t, `{"reconcile":true}`)

	if want := `{"open":1,"enabled":0,"disabled":0,"overdue":0,"failed":0,"drift":0}`; got != want || s.calls != calls || !s.enabled[1] {
		t.Errorf("got %s and %d calls, want %s and none", got, s.calls-calls, want)
	}
	if list, err := h.Windows.Table.Live(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("got %d live windows and %v, want one", len(list), err)
	}
}

func TestInvoke_aCustomResourceClosesWindowsBeforeTheyAreSwitchedOff(t *testing.T) {
	h, s, _ := newHandler(t)
	var answers []string
	var mu sync.Mutex
	cloud := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var answer struct{ Status, PhysicalResourceID string }
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &answer)
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, answer.Status)
	}))
	defer cloud.Close()
	send := func(kind, enabled string) {
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		event := `{"RequestType":"` + kind + `","RequestId":"1","ResponseURL":"` + cloud.URL + `","StackId":"arn:stack","LogicalResourceId":"x","ResourceProperties":{"WindowsEnabled":"` + enabled + `"}}`
		if _, err := h.Invoke(ctx, []byte(event)); err != nil {
			t.Error(err)
		}
	}
	h.send(t, `{"window":{"identifiers":[1],"for":"PT1H"}}`)

	send("Create", "true")
	stays := s.enabled[1]
	s.down = true
	send("Update", "false")
	s.down = false
	send("Delete", "true")

	if want := []string{"SUCCESS", "FAILED", "SUCCESS"}; !slices.Equal(answers, want) || !stays || s.enabled[1] {
		t.Errorf("got %v, want %v; enabled: %t, then %t", answers, want, stays, s.enabled[1])
	}
}

func TestReconcile_theAuditLogTellsOfAnEndThatFailsAsTheBeginningDid(t *testing.T) {
	h, s, _ := newHandler(t)
	s.down = true
	h.send(t, `{"window":{"identifiers":[1],"for":"PT1H"}}`)
	h.send(t, `{"reconcile":true}`)
	begun := s.told

	h.send(t, `{"close_all":true}`)
	ended := s.told
	h.send(t, `{"reconcile":true}`)

	if begun != 1 || ended != 2 || s.told != 2 {
		t.Errorf("got %d audit lines of the beginning, %d with the end's first try and %d with all, want 1, 2 and 2", begun, ended, s.told)
	}
}

func idOf(t *testing.T, text string) string {
	t.Helper()
	var w struct{ ID string }
	if err := json.Unmarshal([]byte(text), &w); err != nil || w.ID == "" {
		t.Fatalf("%v: %s", err, text)
	}
	return w.ID
}

func TestClose_alsoOfAWindowWhoseTimeIsOverForbidsToExtendIt(t *testing.T) {
	h, s, _ := newHandler(t)
	now := window.Now()
	w := window.Opened(window.NewID(time.Now()), now-10, now-5, []apisecret.Identifier{1})
	w.Begun, w.Leases[0].State = true, window.Enabled
	if err := h.Windows.Table.Write(t.Context(), w, nil, nil); err != nil {
		t.Fatal(err)
	}
	s.down, s.enabled[1] = true, true

	closing := h.send(t, `{"close":{"id":"`+w.ID+`"}}`)
	extended := h.send(t, `{"extend":{"id":"`+w.ID+`","by":"PT1H"}}`)

	if !strings.Contains(closing, `"state":"closing"`) || !strings.Contains(closing, `"closed_at":"`+w.Until.String()+`"`) || !strings.Contains(extended, "window_closed") {
		t.Errorf("got %s, then %s", closing, extended)
	}
}

// In a detail, what is not ours is ignored, but not what is ours in other letter case: a
// key that is not taken for one has a second delivery open a second window.
func TestInvoke_ignoresNothingInADetailThatIsAFieldInOtherLetterCase(t *testing.T) {
	h, s, _ := newHandler(t)
	send := func(detail string) string {
		return h.send(t, `{"detail-type":"x","source":"com.example","detail":`+detail+`}`)
	}
	const asked = `"window":{"identifiers":[5],"for":"PT1H"}`
	for _, field := range []string{`"Idempotency_Key":"k"`, `"IDEMPOTENCY_KEY":null`, `"Close":{"id":"x"}`, `"Window":{}`, `"eXtend":1`} {
		if got := send(`{` + asked + `,` + field + `}`); !strings.Contains(got, "unknown field") || s.calls > 0 {
			t.Errorf("%s: got %s and %d calls, want no window", field, got, s.calls)
		}
	}

	got := send(`{` + asked + `,"Reconcile":true,"reason":7,"identifiers":[6]}`)

	if !strings.Contains(got, `"state":"open"`) {
		t.Errorf("with the fields of others: got %s, want a window", got)
	}
}

func TestInvoke_namesWhoOpenedAWindow(t *testing.T) {
	h, _, _ := newHandler(t)
	for _, event := range []string{
		`{"version":"2.0","rawPath":"/windows","requestContext":{"http":{"method":"POST"},"authorizer":{"iam":{"userArn":"arn:alice"}}},"body":"{\"identifiers\":[1],\"for\":\"PT1H\"}"}`,
		`{"detail-type":"x","source":"aws.events","resources":["arn:alice"],"detail":{"window":{"identifiers":[1],"for":"PT1H"}}}`,
	} {
		if got := strings.ReplaceAll(h.send(t, event), `\"`, `"`); !strings.Contains(got, `"opened_by":"arn:alice"`) {
			t.Errorf("%s: got %s", event, got)
		}
	}
}

func TestInvoke_refusesWhatDoesNotGoTogether(t *testing.T) {
	h, s, _ := newHandler(t)
	for _, document := range []string{
		`{"close":{"id":"x"},"idempotency_key":"k"}`, `{"reconcile":true,"close_all":true}`, `{"reconcile":true,"reason":"x"}`, `{"idempotency_key":"k"}`,
	} {
		_, err := h.Invoke(t.Context(), []byte(document))

		if got := fmt.Sprintf("%#v", err); !strings.Contains(got, event.InvalidRequest) || s.calls > 0 {
			t.Errorf("%s: got %s and %d calls", document, got, s.calls)
		}
	}
}

func TestDocument_fitsWhateverAWindowHolds(t *testing.T) {
	now := window.Now()
	w := window.Opened(window.NewID(time.Now()), now, now+60, make([]apisecret.Identifier, maxIdentifiers))
	w.Reason = strings.Repeat("\x01", 256)
	for at := range w.Leases {
		fault := window.Fault{Code: apisecret.UpstreamInvalidResponse, Retryable: true, SeguraCode: 1006, HTTPStatus: 502, UpstreamRequestID: strings.Repeat("x", 64)}
		w.Leases[at] = window.Lease{Identifier: math.MaxInt64, State: window.Enabled, At: now, Fault: &fault}
	}
	for range window.MaxExtensions {
		w.Extensions = append(w.Extensions, window.Change{At: now, By: strings.Repeat("x", 200), Until: now, Reason: w.Reason})
	}

	text := document(w, httpapi.MaxResult)

	var shown window.Shown
	if err := json.Unmarshal(text, &shown); err != nil || len(shown.Identifiers) != maxIdentifiers || shown.Identifiers[0].Error.Code != apisecret.UpstreamInvalidResponse {
		t.Errorf("got %v and %d identifiers: %.300s", err, len(shown.Identifiers), text)
	}
	if size := httpapi.Escaped(text); size > httpapi.MaxResult {
		t.Errorf("got %d bytes, want at most %d", size, httpapi.MaxResult)
	}
	if w.Leases[0].Fault.HTTPStatus != 502 {
		t.Error("the window itself was shortened")
	}
}

func TestList_aPageFitsWhereOneWindowFillsIt(t *testing.T) {
	h, _, _ := newHandler(t)
	now := window.Now()
	w := window.Opened(window.NewID(time.Now()), now-60, now+3600, make([]apisecret.Identifier, 2000))
	for at := range w.Leases {
		w.Leases[at] = window.Lease{Identifier: math.MaxInt64 - apisecret.Identifier(at), State: window.Enabled, At: now}
	}
	for at := range 20 { // what may be left out
		w.Leases[at].Fault = &window.Fault{Code: apisecret.UpstreamInvalidResponse, Retryable: true, HTTPStatus: 502, UpstreamRequestID: strings.Repeat("x", 64)}
	}
	w.OpenedBy = "x"
	w.OpenedBy += strings.Repeat("x", httpapi.MaxResult-httpapi.Escaped(document(w, httpapi.MaxResult)))
	if err := h.Windows.Table.Write(t.Context(), w, nil, nil); err != nil {
		t.Fatal(err)
	}

	reply := h.send(t, `{"version":"2.0","rawPath":"/windows","requestContext":{"http":{"method":"GET"}}}`)

	var response struct{ Body string }
	if err := json.Unmarshal([]byte(reply), &response); err != nil || !strings.Contains(response.Body, w.ID) {
		t.Fatalf("got %v: %.200s", err, reply)
	}
	if got := httpapi.Escaped([]byte(response.Body)); got > httpapi.MaxResult || got < httpapi.MaxResult-8<<10 {
		t.Errorf("got a page of %d bytes, want nearly %d and no more", got, httpapi.MaxResult)
	}
}

// silent is a table that never answers.
type silent struct{ window.Table }

func (silent) Live(ctx context.Context) ([]window.Window, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (silent) Find(ctx context.Context, _ string) (window.Window, error) {
	<-ctx.Done()
	return window.Window{}, context.Cause(ctx)
}

func (silent) Due(ctx context.Context, _ window.Instant) (bool, window.Summary, error) {
	<-ctx.Done()
	return false, window.Summary{}, context.Cause(ctx)
}

func TestInvoke_answersBeforeItsDeadlineWhereTheTableNeverDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		h := &Handler{Windows: &window.Keeper{Table: silent{}, Log: log}, Telemetry: telemetry.New(telemetry.Options{Out: io.Discard}), Log: log}
		for payload, want := range map[string]string{
			`{"version":"2.0","rawPath":"/windows","requestContext":{"http":{"method":"GET"}}}`: `"statusCode":503`,
			`{"reconcile":true}`:                            event.TransientError,
			`{"close":{"id":"01JD3ZZZZZZZZZZZZZZZZZZZZZ"}}`: event.TransientError,
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)

			reply, err := h.Invoke(ctx, []byte(payload))

			if got := fmt.Sprintf("%s %#v", reply, err); ctx.Err() != nil || !strings.Contains(got, want) {
				t.Errorf("%s: got %s and %v, want %s in time", payload, got, ctx.Err(), want)
			}
			cancel()
		}
	})
}

func TestInvoke_neverTellsTheAddressThatCloudFormationIsAnsweredAt(t *testing.T) {
	h, _, _ := newHandler(t)
	var lines bytes.Buffer
	h.Log = slog.New(slog.NewJSONHandler(&lines, nil))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	_, err := h.Invoke(t.Context(), []byte(`{"RequestType":"Create","RequestId":"1","ResponseURL":"`+gone.URL+`/?X-Amz-Signature=marker","StackId":"arn:stack","LogicalResourceId":"x"}`))

	if got := fmt.Sprintf("%#v", err); !strings.Contains(got, event.TransientError) || strings.Contains(got+lines.String(), "marker") {
		t.Errorf("got %s and the log %s", got, lines.String())
	}
	if !strings.Contains(lines.String(), "connection refused") {
		t.Errorf("the log does not say why: %s", lines.String())
	}
}
