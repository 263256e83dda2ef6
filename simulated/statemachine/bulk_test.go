package statemachine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
	"segura-enable/simulated/statemachine"
)

// settings are the operator's for a bulk run.
type settings struct {
	batch, places, callsPerMinute, attempts, tolerated int
}

func (s settings) values() map[string]string {
	return map[string]string{
		"EventFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:EventFunction",
		"Partition":        "aws", "Bucket": "lists",
		"BatchSize": fmt.Sprint(s.batch), "Concurrency": fmt.Sprint(s.places), "MaxAttempts": fmt.Sprint(s.attempts),
		"CallsPerMinute": fmt.Sprint(s.callsPerMinute), "ToleratedFailurePercentage": fmt.Sprint(s.tolerated),
	}
}

// bulk is the bulk machine with a bucket, and a meter of the calls to Segura by the
// clocks of the batches.
type bulk struct {
	machine  *statemachine.Machine
	services statemachine.Services

	mu    sync.Mutex
	calls []time.Time // one for each attempt that the function reports
}

func newBulk(t *testing.T, stack *stage.Stack, s settings) *bulk {
	t.Helper()
	b := &bulk{machine: load(t, "bulk", s.values())}
	invoke := statemachine.InvokerOf(stack.Function(stage.Event))
	b.services = statemachine.Services{
		Bucket: &statemachine.Bucket{}, Clock: &statemachine.SkippingClock{}, Invoke: invoke,
		Call: func(context.Context, string, any) (any, error) {
			return map[string]any{"Executions": []any{map[string]any{}}}, nil
		},
	}
	b.services.InvokeAt = func(ctx context.Context, clock statemachine.Clock, payload []byte) ([]byte, error) {
		reply, err := invoke(ctx, payload)
		b.count(clock.Now(), reply, err)
		return reply, err
	}
	return b
}

// count notes the attempts of a result at the time of its end.
func (b *bulk) count(at time.Time, reply []byte, err error) {
	text := string(reply)
	if err != nil {
		text = strings.ReplaceAll(err.Error(), `\"`, `"`)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, part := range strings.Split(text, `"attempts":`)[1:] {
		var n int
		_, _ = fmt.Sscanf(part, "%d", &n)
		for range n {
			b.calls = append(b.calls, at)
		}
	}
}

// most is the largest number of calls within any minute.
func (b *bulk) most() (most int) {
	slices.SortFunc(b.calls, time.Time.Compare)
	from := 0
	for i := range b.calls {
		for b.calls[i].Sub(b.calls[from]) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func (b *bulk) run(t *testing.T, input string) *statemachine.Execution {
	t.Helper()
	x, err := b.machine.Run(t.Context(), "bulk-1", []byte(input), b.services)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

type summary struct {
	Outcome                                      string
	Requested, Changed, Already, Failed, Batches int
	FailedByCode                                 map[string]int `json:"failed_by_code"`
}

func summaryOf(t *testing.T, x *statemachine.Execution) (s summary) {
	t.Helper()
	if x.Status != statemachine.Succeeded {
		t.Fatalf("status: got %s %s %s", x.Status, x.Error, x.Cause)
	}
	if err := json.Unmarshal(x.Output, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// many is so many API secrets from 1 on, of which 6 is active, 7 missing and 8
// forbidden.
func many(n int64) map[int64]seguratest.APISecret {
	all := map[int64]seguratest.APISecret{}
	for i := int64(1); i <= n; i++ {
		all[i] = seguratest.APISecret{}
	}
	all[6], all[7], all[8] = seguratest.APISecret{Active: true}, seguratest.APISecret{Missing: true}, seguratest.APISecret{Forbidden: true}
	return all
}

func TestBulk_enablesTenThousandAtThePaceOfTheOperator(t *testing.T) {
	const n, pace = 10_000, 600
	stack := start(t, stage.Options{
		Env:    map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": ""},
		Segura: seguratest.Options{APISecrets: many(n)},
	})
	b := newBulk(t, stack, settings{batch: 50, places: 1, callsPerMinute: pace, attempts: 4})
	var list strings.Builder
	list.WriteString("name,identifier\n")
	for i := 1; i <= n; i++ {
		_, _ = fmt.Fprintf(&list, "secret %d,%d\n", i, i)
	}
	b.services.Bucket.Put("lists/all.csv", []byte(list.String()))
	begun := time.Now()

	x := b.run(t, `{"key":"lists/all.csv","action":"enable","reason":"CHG0012345"}`)

	got := fmt.Sprint(summaryOf(t, x))
	if want := fmt.Sprint(summary{"partially_succeeded", n, n - 3, 1, 2, n / 50, map[string]int{"not_found": 1, "access_denied": 1}}); got != want {
		t.Errorf("summary: got %s, want %s", got, want)
	}
	active := 0
	for _, state := range stack.Segura.States() {
		if state.Active {
			active++
		}
	}
	if active != n-2 {
		t.Errorf("enabled: got %d, want %d", active, n-2)
	}
	if got := b.most(); got > pace || got < pace/4 {
		t.Errorf("calls within the busiest minute: got %d, want at most %d, and not far less", got, pace)
	}
	if got := len(b.services.Bucket.Keys()); got != 1+n/50+1 {
		t.Errorf("objects in the bucket: got %d, want the list, %d results and the summary", got, n/50)
	}
	t.Logf("%d API secrets: %s by its clock, %s by ours; %d calls in the busiest minute of %d allowed",
		n, x.Stopped.Sub(x.Started).Round(time.Second), time.Since(begun).Round(time.Millisecond), b.most(), pace)
}

func TestBulk_keepsThePaceWhateverSeguraAnswers(t *testing.T) {
	stack := start(t, stage.Options{Segura: seguratest.Options{APISecrets: many(400)}, Env: map[string]string{"SEGURA_MAX_ATTEMPTS": "2"}})
	for i := int64(1); i <= 400; i += 3 {
		stack.Segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: i}, seguratest.Gateway502(), 2)
	}
	b := newBulk(t, stack, settings{batch: 10, places: 2, callsPerMinute: 200, attempts: 2})
	var list strings.Builder
	for i := 1; i <= 400; i++ {
		_, _ = fmt.Fprintf(&list, "{\"identifier\":%d}\n", i)
	}
	b.services.Bucket.Put("lists/all.jsonl", []byte(list.String()))

	got := summaryOf(t, b.run(t, `{"key":"lists/all.jsonl","action":"enable"}`))

	if got.Requested != 400 || got.Failed != 2 {
		t.Errorf("summary: got %+v, want all 400, 2 of them failed", got)
	}
	if got := b.most(); got > 200 {
		t.Errorf("calls within the busiest minute: got %d, want at most 200", got)
	}
}

func TestBulk_stopsWhenSeguraFailsAndARedriveDoesTheRest(t *testing.T) {
	stack := start(t, stage.Options{Segura: seguratest.Options{APISecrets: many(100)}, Env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	stack.Segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, When: func(r seguratest.Request) bool { return r.Identifier > 50 }}, seguratest.Unexpected500(), 1<<30)
	b := newBulk(t, stack, settings{batch: 10, places: 1, callsPerMinute: 600, attempts: 1})
	var list strings.Builder
	list.WriteString("identifier\n")
	for i := 1; i <= 100; i++ {
		_, _ = fmt.Fprintln(&list, i)
	}
	b.services.Bucket.Put("lists/all.csv", []byte(list.String()))

	x := b.run(t, `{"key":"lists/all.csv","action":"enable"}`)
	if x.Status != statemachine.Failed || x.Error != "States.ExceedToleratedFailureThreshold" {
		t.Errorf("got %s %s, want it to stop", x.Status, x.Error)
	}
	before := stack.Segura.CountFor(seguratest.KindEnable, 5)
	stack.Segura.ClearFaults()
	if err := x.Redrive(t.Context()); err != nil {
		t.Fatal(err)
	}

	if got := summaryOf(t, x); got.Requested != 100 || got.Failed != 2 || got.Batches != 10 {
		t.Errorf("summary after the redrive: got %+v, want all 100, 2 of them failed", got)
	}
	if got := stack.Segura.CountFor(seguratest.KindEnable, 5); got != before {
		t.Errorf("calls for one that was done before: got %d more, want none", got-before)
	}
}

func TestBulk_refusesWhatItDoesNotUnderstandOrCannotKeep(t *testing.T) {
	stack := start(t, stage.Options{})
	good := settings{batch: 50, places: 1, callsPerMinute: 600, attempts: 4}
	table := []struct {
		input    string
		settings settings
		running  int
		want     string
	}{
		{`[]`, good, 1, "not an object"},
		{`{"key":"lists/a.csv","action":"enable","bucket":"x"}`, good, 1, "fields other than"},
		{`{"key":"results/a.csv","action":"enable"}`, good, 1, "key is not"},
		{`{"key":"lists/a.xml","action":"enable"}`, good, 1, "key is not"},
		{`{"key":"lists/a.csv","action":"delete"}`, good, 1, "action is neither"},
		{`{"key":"lists/a.csv","action":"enable","reason":1}`, good, 1, "reason is not"},
		{`{"key":"lists/a.csv","action":"enable"}`, settings{batch: 100, places: 1, callsPerMinute: 600, attempts: 4}, 1, "rate cannot be kept"},
		{`{"key":"lists/a.csv","action":"enable"}`, settings{batch: 50, places: 2, callsPerMinute: 600, attempts: 4}, 1, "rate cannot be kept"},
		{`{"key":"lists/a.csv","action":"enable"}`, good, 2, "Another execution"},
		{`{"key":"lists/a.csv","action":"enable"}`, good, 1, "there is no such object"},
	}
	for _, row := range table {
		b := newBulk(t, stack, row.settings)
		b.services.Call = func(context.Context, string, any) (any, error) {
			return map[string]any{"Executions": make([]struct{}, row.running)}, nil
		}

		x := b.run(t, row.input)

		if x.Status != statemachine.Failed || !strings.Contains(x.Cause, row.want) || len(b.calls) > 0 {
			t.Errorf("%s: got %s %s %s, want it refused with %q", row.input, x.Status, x.Error, x.Cause, row.want)
		}
	}
}

func TestBulk_bothReadersHaveTheSameBatches(t *testing.T) {
	root, err := stage.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(root + "/statemachines/bulk.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	var machine struct{ States map[string]map[string]any }
	if err := json.Unmarshal(text, &machine); err != nil {
		t.Fatal(err)
	}
	one, other := machine.States["EachBatchOfCsv"], machine.States["EachBatchOfJsonLines"]
	for _, state := range []map[string]any{one, other} {
		delete(state, "Label")
		if reader, is := state["ItemReader"].(map[string]any); is {
			delete(reader, "ReaderConfig")
		}
	}
	if got, want := fmt.Sprint(other), fmt.Sprint(one); got != want {
		t.Errorf("but for the reader: got %s, want %s", got, want)
	}
}
