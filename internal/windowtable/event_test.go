package windowtable_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/window"
	"segura-enable/internal/windowtable"
	"segura-enable/test/windowtest"
)

// told returns the event that the last write of a window leaves to the readers of the
// table's stream; nil: none.
func told(t *testing.T, table *windowtable.Table, pk, id string) map[string]string {
	t.Helper()
	out, err := table.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table.Name, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: id}},
	})
	if err != nil || len(out.Item) == 0 {
		t.Fatalf("%s %s: got %v, %v", pk, id, out, err)
	}
	event, ok := out.Item["event"].(*types.AttributeValueMemberM)
	if !ok {
		return nil
	}
	got := map[string]string{}
	for name, value := range event.Value {
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			got[name] = value.Value
		case *types.AttributeValueMemberNS:
			slices.Sort(value.Value)
			for _, one := range value.Value {
				got[name] += one + " "
			}
		default:
			t.Errorf("%s is %T, of which a pipe makes no plain JSON", name, value)
		}
	}
	return got
}

func TestTable_leavesAnEventWhereTheStateOrTheEndOfAWindowIsNew(t *testing.T) {
	table, _ := windowtest.Start(t)
	now := window.Now()
	w := opened("w", now-10, now+3600)
	w.Reason, w.OpenedBy = "CHG1", "arn:alice"
	end, later := w.Until.String(), (now + 7200).String()
	for _, step := range []struct {
		about  string
		change func()
		want   string // state, closed by and end; empty: there is no event
	}{
		{"opened", func() {}, "open  " + end},
		{"begun, which nobody sees", func() { w.Begun = true }, ""},
		{"enabled, which is no state of the window", func() { w.Leases[0].State = window.Enabled }, ""},
		{"extended", func() { w = w.Extend(now + 7200) }, "open  " + later},
		{"ended, and not yet disabled", func() { w.Over, w.Ended = true, &window.Change{At: now, By: "arn:bob"} }, "closing arn:bob " + later},
		{"closed", func() { w.Leases[0].State, w.Leases[1].State = window.Disabled, window.Disabled }, "closed arn:bob " + later},
	} {
		step.change()
		err := table.Write(t.Context(), w, nil, nil)

		w = find(t, table, "w")
		got := told(t, table, map[bool]string{true: "closed", false: "live"}[w.Closed], "w")
		text := ""
		if got != nil {
			text = got["state"] + " " + got["closed_by"] + " " + got["until"]
		}
		if err != nil || text != step.want {
			t.Errorf("%s: got the event %v and %v, want %q", step.about, got, err, step.want)
		}
		if got != nil && (got["from"] != w.From.String() || got["reason"] != "CHG1" || got["opened_by"] != "arn:alice" || got["identifiers"] != "5 6 ") {
			t.Errorf("%s: got the event %v of another window", step.about, got)
		}
	}
}

func TestTable_saysOfAnEventWhetherTheWindowHasBegunOrIsOverByTheClock(t *testing.T) {
	table, _ := windowtest.Start(t)
	now := window.Now()
	for _, row := range []struct {
		w    window.Window
		want map[string]string
	}{
		{opened("ahead", now+600, now+3600), map[string]string{"state": "scheduled", "closed_by": ""}},
		{opened("over", now-600, now-1), map[string]string{"state": "closing", "closed_by": "time"}},
		{window.Window{ID: window.GuardID}, nil},
	} {
		err := table.Write(t.Context(), row.w, nil, nil)

		got := told(t, table, "live", row.w.ID)
		if err != nil || (got == nil) != (row.want == nil) || got["state"] != row.want["state"] || got["closed_by"] != row.want["closed_by"] {
			t.Errorf("%s: got the event %v and %v, want %v", row.w.ID, got, err, row.want)
		}
	}
}

// scales take every write, and note the size of the largest item.
//
// Source: DynamoDB's page "DynamoDB item sizes and formats".
type scales struct {
	windowtable.API
	largest int
}

func (s *scales) TransactWriteItems(_ context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	for _, one := range in.TransactItems {
		if one.Put != nil {
			s.largest = max(s.largest, sizeOf(&types.AttributeValueMemberM{Value: one.Put.Item}))
		}
	}
	return &dynamodb.TransactWriteItemsOutput{}, nil
}

func sizeOf(value types.AttributeValue) int {
	size := 3
	switch value := value.(type) {
	case *types.AttributeValueMemberS:
		return len(value.Value)
	case *types.AttributeValueMemberN:
		return len(value.Value)
	case *types.AttributeValueMemberNS:
		for _, one := range value.Value {
			size += 1 + len(one)
		}
	case *types.AttributeValueMemberM:
		for name, one := range value.Value {
			size += 1 + len(name) + sizeOf(one)
		}
	}
	return size
}

// A window that no item holds would never end: everything that a window can have is in
// this one, and its end is told to the readers of the stream too.
func TestWrite_theLargestWindowFitsAnItem(t *testing.T) {
	const arn = 2048 // characters that AWS allows one
	wide, long := strings.Repeat("\u0001", apisecret.MaxReason), strings.Repeat("a", arn)
	w := window.Window{
		ID: strings.Repeat("X", 26), From: 1_764_000_000, Until: 1_764_000_000, CreatedAt: 1_764_000_000, Reason: wide, OpenedBy: long,
		Begun: true, Over: true, Turn: 2 * window.MaxExtensions, Ended: &window.Change{At: 1_764_000_000, By: long, Reason: wide},
		Extended: window.MaxExtensions, Version: 1_000_000, Due: 1,
	}
	list := make([]apisecret.Identifier, 1000)
	for at := range list {
		list[at] = apisecret.MaxIdentifier - apisecret.Identifier(at)
		w.Leases = append(w.Leases, window.Lease{
			Identifier: list[at], State: window.Enabled, At: 1_764_000_000, Begun: true, Landed: true, Undone: true, Off: true, Told: 1_764_000_000,
			Fault: &window.Fault{Code: apisecret.UpstreamInvalidResponse, Retryable: true, SeguraCode: 9999, HTTPStatus: 502, UpstreamRequestID: strings.Repeat("a", 64)},
		})
	}
	for range 5 { // and no more: Actor.choose
		w.Marks = append(w.Marks, window.Mark{Actor: strings.Repeat("x", 26), Kind: apisecret.Disable, LandBy: 1_764_000_000, Identifiers: list})
	}
	scales := &scales{}
	table := &windowtable.Table{DynamoDB: scales}

	err := table.Write(t.Context(), w, nil, nil)

	if err != nil || scales.largest < 390<<10 || scales.largest > 400<<10 {
		t.Errorf("got %v and %d bytes, want nearly the %d that an item has at most", err, scales.largest, 400<<10)
	}
}
