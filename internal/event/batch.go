package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// maxExactNumber is the largest number that JavaScript's numbers, and with them a
// state machine, carry without rounding. A larger identifier has to be a string.
const maxExactNumber apisecret.Identifier = 1<<53 - 1

// isBatch tells what a Distributed Map sends for a batch from every other
// document by its Items.
//
// Source: AWS Step Functions' page "ItemBatcher (Map)".
func isBatch(payload []byte) bool {
	byName, err := strictjson.Map(payload)
	return err == nil && byName["Items"] != nil
}

// readBatch reads a batch. One row that cannot be read refuses all of it: a list
// with a mistake in it is mended and sent again, not worked off in part.
func readBatch(payload []byte) (apisecret.Document, error) {
	members, err := strictjson.Object(payload)
	if err != nil {
		return apisecret.Document{}, err
	}
	d := apisecret.Document{Request: apisecret.Request{Action: apisecret.Enable}}
	var rows []json.RawMessage
	for _, member := range members {
		switch member.Name {
		case "Items":
			if rows, err = readRows(member.Value); err != nil {
				return apisecret.Document{}, err
			}
		case "BatchInput":
			if d, err = batchInput().Read(member.Value); err != nil {
				return apisecret.Document{}, fmt.Errorf("BatchInput: %w", err)
			}
		default:
			return apisecret.Document{}, fmt.Errorf("unknown field %s", strictjson.Quote(member.Name))
		}
	}
	d.Identifiers, err = readIdentifiers(rows)
	return d, err
}

// batchInput is what the state machine says of every batch of a run.
func batchInput() apisecret.Form {
	return apisecret.Form{Fields: []apisecret.Field{apisecret.FieldAction, apisecret.FieldReason, apisecret.FieldExecution}}
}

func readRows(value json.RawMessage) ([]json.RawMessage, error) {
	rows, ok := strictjson.Array(value, apisecret.MaxIdentifiers)
	switch {
	case !ok:
		return nil, errors.New("field Items is not an array")
	case len(rows) == 0:
		return nil, errors.New("field Items is empty")
	case len(rows) > apisecret.MaxIdentifiers:
		return nil, fmt.Errorf("field Items has more than %d rows", apisecret.MaxIdentifiers)
	}
	return rows, nil
}

// readIdentifiers returns the identifiers of the rows, each once.
func readIdentifiers(rows []json.RawMessage) ([]apisecret.Identifier, error) {
	list := make([]apisecret.Identifier, 0, len(rows))
	seen := make(map[apisecret.Identifier]bool, len(rows))
	for at, row := range rows {
		i, err := readRow(row)
		if err != nil {
			return nil, fmt.Errorf("row %d of the batch, Items[%d]: %w", at+1, at, err)
		}
		if !seen[i] {
			seen[i] = true
			list = append(list, i)
		}
	}
	return list, nil
}

// readRow reads the column identifier of a row and leaves the others alone.
func readRow(row json.RawMessage) (apisecret.Identifier, error) {
	columns, err := strictjson.Object(row)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(columns, func(m strictjson.Member) bool { return m.Name == "identifier" })
	if at < 0 {
		return 0, errors.New("it has no column identifier")
	}
	value := columns[at].Value
	i, err := apisecret.ReadIdentifier(value)
	switch _, isText := strictjson.String(value); {
	case err != nil:
		return 0, fmt.Errorf("identifier is %w", err)
	case !isText && i > maxExactNumber:
		return 0, fmt.Errorf("identifier is a number above %d, which a state machine rounds: write it as a string", maxExactNumber)
	}
	return i, nil
}
