package windowtable_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/window"
	"segura-enable/internal/windowtable"
	simulated "segura-enable/simulated/dynamodb"
	"segura-enable/test/windowtest"
)

func opened(id string, from, until window.Instant) window.Window {
	return window.Opened(id, from, until, []apisecret.Identifier{5, 6})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func write(t *testing.T, table *windowtable.Table, w window.Window, e *window.Change) {
	t.Helper()
	if err := table.Write(t.Context(), w, e, nil); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, table *windowtable.Table, id string) window.Window {
	t.Helper()
	return must[window.Window](t)(table.Find(t.Context(), id))
}

func TestTable_readsWhatWasWrittenAndOnlyWhatIsDue(t *testing.T) {
	table, _ := windowtest.Start(t)
	ctx := t.Context()
	for n := range 7 { // more than a page
		write(t, table, opened(fmt.Sprint("w", n), window.Instant(100*n), 10_000), nil)
	}

	list := must[[]window.Window](t)(table.Live(ctx))
	before, _, err := table.Due(ctx, -1)
	now, last, err2 := table.Due(ctx, 0)

	if len(list) != 7 || list[3].Version != 1 || list[3].Due != 300 || len(list[3].Leases) != 2 {
		t.Errorf("got %+v", list)
	}
	if err != nil || err2 != nil || before || !now || last.Open != 0 {
		t.Errorf("due: got %t, %t, %+v, %v, %v", before, now, last, err, err2)
	}
}

func TestWrite_refusesAWindowThatHasChanged(t *testing.T) {
	table, _ := windowtest.Start(t)
	ctx := t.Context()
	write(t, table, opened("w", 0, 100), nil)
	first := find(t, table, "w")
	second := first
	first.Begun = true

	err := table.Write(ctx, first, nil, nil)
	stale := table.Write(ctx, second, nil, nil)

	if got := find(t, table, "w"); err != nil || !errors.Is(stale, window.ErrChanged) || !got.Begun || got.Version != 2 {
		t.Errorf("got %v and %v, %+v", err, stale, got)
	}
}

func TestWrite_movesAFinishedWindowToTheClosedOnes(t *testing.T) {
	table, server := windowtest.Start(t)
	ctx := t.Context()
	for _, id := range []string{"w1", "w2", "w3", "w4", "w5"} {
		write(t, table, opened(id, 0, 100), nil)
		w := find(t, table, id)
		write(t, table, w.Extend(200), &window.Change{At: 1, Until: 200})
		w = find(t, table, id)
		server.FailWith(once("TransactWriteItems", simulated.Unheard))
		write(t, table, w.End(50, window.Change{At: 50}), nil)
	}

	got := find(t, table, "w3")
	page, more, err := table.ListClosed(ctx, "", 2)
	rest, end, err2 := table.ListClosed(ctx, more, 100)

	if !got.Closed || len(got.Extensions) != 1 || got.Extensions[0].Until != 200 {
		t.Errorf("got %+v", got)
	}
	if err != nil || err2 != nil || len(page) != 2 || page[0].ID != "w5" || more != "w4" || len(rest) != 3 || rest[2].ID != "w1" {
		t.Errorf("got %v, %q, %v, %q, %v, %v", page, more, rest, end, err, err2)
	}
	if list := must[[]window.Window](t)(table.Live(ctx)); len(list) != 0 {
		t.Errorf("still live: %v", list)
	}
	if due, _, err := table.Due(ctx, 1000); due || err != nil {
		t.Errorf("still due: %t, %v", due, err)
	}
}

// once fails the next request of the operation.
func once(operation string, fault simulated.Fault) func(string) simulated.Fault {
	left := 1
	return func(asked string) simulated.Fault {
		if asked != operation || left == 0 {
			return simulated.None
		}
		left--
		return fault
	}
}

func TestWrite_isConfirmedWhenItsRepetitionMeetsItself(t *testing.T) {
	for _, fault := range []simulated.Fault{simulated.Unheard, simulated.Refused, simulated.Throttled} {
		table, server := windowtest.Start(t)
		ctx := t.Context()
		key := &window.Key{Name: "k", Content: "c"}

		server.FailWith(once("TransactWriteItems", fault))
		created := table.Write(ctx, opened("w", 0, 100), nil, key)
		w := find(t, table, "w")
		w.Begun = true
		server.FailWith(once("TransactWriteItems", fault))
		begun := table.Write(ctx, w, nil, nil)
		w = find(t, table, "w")
		server.FailWith(once("PutItem", fault))
		w.Leases[0].Begun = true
		again := table.Write(ctx, w, nil, nil)

		// A single item's write may be refused for its own sake: whoever writes it reads again.
		if fault == simulated.Unheard && errors.Is(again, window.ErrChanged) {
			again = nil
		}
		if created != nil || begun != nil || again != nil {
			t.Errorf("%v: got %v, %v and %v", fault, created, begun, again)
		}
		if got := find(t, table, "w"); !got.Leases[0].Begun || got.Version != 3 {
			t.Errorf("%v: got %+v", fault, got)
		}
	}
}

func TestWrite_refusesAKeyThatIsInUse(t *testing.T) {
	table, _ := windowtest.Start(t)
	ctx := t.Context()
	key := &window.Key{Name: "k", Content: "c"}
	if err := table.Write(ctx, opened("w1", 0, 100), nil, key); err != nil {
		t.Fatal(err)
	}

	other := &window.Key{Name: "k", Content: "d"}
	refused := table.Write(ctx, opened("w2", 0, 100), nil, other)
	other.Replaces = "w1"
	replaced := table.Write(ctx, opened("w2", 0, 100), nil, other)
	used, err := table.Key(ctx, "k")

	if !errors.Is(refused, window.ErrChanged) || replaced != nil || err != nil || used.Window != "w2" || used.Content != "d" {
		t.Errorf("got %v, %v, %+v, %v", refused, replaced, used, err)
	}
	if unused, err := table.Key(ctx, "other"); unused != nil || err != nil {
		t.Errorf("got %+v and %v", unused, err)
	}
}

func TestLock_isHeldUntilItExpires(t *testing.T) {
	table, _ := windowtest.Start(t)
	ctx := t.Context()
	for at, row := range []struct {
		actor      string
		now, until window.Instant
		want       bool
	}{
		{"a", 0, 10, true}, {"b", 5, 15, false}, {"a", 5, 20, true}, {"b", 15, 25, false}, {"b", 21, 30, true},
		{"a", 22, 0, false}, {"b", 22, 0, true}, {"a", 22, 30, true}, // who has it gives it back
	} {
		if got, err := table.Lock(ctx, row.actor, row.now, row.until); got != row.want || err != nil {
			t.Errorf("%d: got %t and %v", at, got, err)
		}
	}
}

func TestNote_isReadWithWhatIsDue(t *testing.T) {
	table, server := windowtest.Start(t)
	ctx := t.Context()
	if err := errors.Join(table.NoteOpen(ctx, 3), table.NoteGuarded(ctx, 77)); err != nil {
		t.Fatal(err)
	}
	write(t, table, window.Window{ID: window.GuardID, Begun: true, Over: true}, nil) // which is never due
	before := len(server.Requests())

	due, last, err := table.Due(ctx, 1000)

	if due || err != nil || last != (window.Summary{Open: 3, Guarded: 77}) {
		t.Errorf("got %t, %+v, %v", due, last, err)
	}
	if got := server.Requests()[before:]; !slices.Equal(got, []string{"Query"}) {
		t.Errorf("asked for %v, want one query", got)
	}
	write(t, table, opened("w", 500, 600), nil)
	if due, _, err := table.Due(ctx, 1000); !due || err != nil {
		t.Errorf("beside the summary: got %t and %v, want a window that is due", due, err)
	}
}

func TestNewDynamoDB_refusesAnEndpointThatTheSDKCannotCall(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	for endpoint, want := range map[string]bool{"": true, "http://127.0.0.1:1": true, "127.0.0.1:1": false, "dynamodb.example.com": false, "https://": false, "ftp://x": false} {
		t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)

		_, err := windowtable.NewDynamoDB(t.Context(), time.Second)

		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "AWS_ENDPOINT_URL_DYNAMODB") {
			t.Errorf("%q: got %v", endpoint, err)
		}
	}
}
