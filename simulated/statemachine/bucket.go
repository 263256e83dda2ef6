package statemachine

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Bucket holds objects by their keys. It may be used by several goroutines at
// once.
type Bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
}

// Put stores an object.
func (b *Bucket) Put(key string, content []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects == nil {
		b.objects = map[string][]byte{}
	}
	b.objects[key] = slices.Clone(content)
}

// Object returns an object, or nil where there is none.
func (b *Bucket) Object(key string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.objects[key])
}

// Keys are those of all objects, in order.
func (b *Bucket) Keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.objects))
}

// put is the call s3:putObject.
func (b *Bucket) put(arguments any) (any, error) {
	text, err := json.Marshal(arguments)
	if err != nil {
		return nil, fmt.Errorf("write the arguments: %w", err)
	}
	var call struct {
		Key  string
		Body json.RawMessage
	}
	if err := json.Unmarshal(text, &call); err != nil || b == nil {
		return nil, &Error{"S3.S3Exception", "there is no such bucket"}
	}
	b.Put(call.Key, call.Body)
	return map[string]any{"ETag": "none"}, nil
}

// items reads the items of an object, as a Map state's reader does.
func (b *Bucket) items(reader *Reader, key string) ([]any, error) {
	unreadable := func(why string) ([]any, error) {
		return nil, &Error{"States.ItemReaderFailed", fmt.Sprintf("%s: %s", key, why)}
	}
	content := []byte(nil)
	if b != nil {
		content = b.Object(key)
	}
	if content == nil {
		return unreadable("there is no such object")
	}
	var all []any
	switch kind := reader.ReaderConfig.InputType; kind {
	case "JSONL":
		lines := bufio.NewScanner(bytes.NewReader(content))
		for lines.Scan() {
			var item any
			if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
				return unreadable(err.Error())
			}
			all = append(all, item)
		}
	case "CSV":
		rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
		if err != nil || len(rows) == 0 || reader.ReaderConfig.CSVHeaderLocation != "FIRST_ROW" {
			return unreadable("it is no CSV with a header")
		}
		for _, row := range rows[1:] {
			item := map[string]any{}
			for i, name := range rows[0] {
				item[name] = row[i]
			}
			all = append(all, item)
		}
	default:
		return unreadable(kind + " is not interpreted here")
	}
	return all, nil
}
