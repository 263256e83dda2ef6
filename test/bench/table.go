package bench

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// table answers as DynamoDB would to one writer, whose conditions always hold. That of
// package simulated/dynamodb, which judges them, takes longer the more it holds.
type table struct {
	*httptest.Server
	takes atomic.Int64 // to answer, in nanoseconds
	mu    sync.Mutex
	items map[string]map[string]attributes // by pk and sk
}

type attributes map[string]map[string]any

func (a attributes) text(name string) string {
	text, _ := a[name]["S"].(string)
	return text
}

// pageItems are some 1 MB of windows, of which DynamoDB makes a page.
const pageItems = 400

func startTable() *table {
	t := &table{items: map[string]map[string]attributes{}}
	t.Server = httptest.NewServer(http.HandlerFunc(t.serve))
	return t
}

// change is one write: the item, or the key of the one to delete.
type change struct{ Item, Key attributes }

func (t *table) serve(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Duration(t.takes.Load()))
	var asked struct {
		change
		TransactItems             []struct{ Put, Delete change }
		ExpressionAttributeValues attributes
		ExclusiveStartKey         attributes
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	answer := map[string]any{}
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "PutItem", "DeleteItem":
		t.apply(asked.change)
	case "TransactWriteItems":
		for _, one := range asked.TransactItems {
			t.apply(one.Put)
			t.apply(one.Delete)
		}
	case "Query":
		answer = t.page(asked.ExpressionAttributeValues, asked.ExclusiveStartKey.text("sk"))
	}
	_ = json.NewEncoder(w).Encode(answer) // to the client, who will tell
}

func (t *table) apply(c change) {
	delete(t.items[c.Key.text("pk")], c.Key.text("sk"))
	if pk := c.Item.text("pk"); pk != "" {
		if t.items[pk] == nil {
			t.items[pk] = map[string]attributes{}
		}
		t.items[pk][c.Item.text("sk")] = c.Item
	}
}

// page returns the items of a partition whose keys come before :sk.
func (t *table) page(values attributes, after string) map[string]any {
	pk, end := values.text(":pk"), values.text(":sk")
	page := []attributes{}
	for _, sk := range slices.Sorted(maps.Keys(t.items[pk])) {
		if sk <= after || sk >= end {
			continue
		}
		if len(page) == pageItems {
			last := page[pageItems-1]
			return map[string]any{"Items": page, "LastEvaluatedKey": attributes{"pk": last["pk"], "sk": last["sk"]}}
		}
		page = append(page, t.items[pk][sk])
	}
	return map[string]any{"Items": page}
}
