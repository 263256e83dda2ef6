// Package windowtable keeps windows in one DynamoDB table, whose keys are the texts pk
// and sk, and whose items expire at the Unix time in expires:
//
//	live       <id>          a window that is not closed; its key never changes, so that no reading of all misses it
//	due        <time>#<id>   when something is to be done for it; written with it, in one transaction
//	due        !summary      what the last run left
//	closed     <id>          a closed window
//	ext#<id>   <number>      an extension
//	key#<key>  key           an idempotency key
//	lock       reconcile     who reconciles, until when
//
// An item of a window also tells the readers of the table's stream what is new of it.
//
// Every read is consistent and every write has a condition, but for the summary's.
package windowtable

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/logging"

	"segura-enable/internal/strictjson"
	"segura-enable/internal/window"
)

// API is what a Table needs of DynamoDB; *dynamodb.Client is one.
type API interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Table implements window.Table. It may be used by several goroutines at once.
type Table struct {
	DynamoDB  API
	Name      string
	Retention time.Duration // how long a closed window is kept
}

var _ window.Table = (*Table)(nil)

// NewDynamoDB returns a client of DynamoDB, configured as the AWS SDK defines it. The
// error is one of configuration.
func NewDynamoDB(ctx context.Context, attemptTimeout time.Duration) (*dynamodb.Client, error) {
	client := awshttp.NewBuildableClient().WithTimeout(attemptTimeout).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 32
	})
	settings, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client), config.WithLogger(logging.Nop{}), config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	dynamo := dynamodb.NewFromConfig(settings)
	// The SDK takes an endpoint that it then cannot call.
	if endpoint := aws.ToString(dynamo.Options().BaseEndpoint); endpoint != "" {
		if u, err := url.Parse(endpoint); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
			return nil, errors.New("AWS configuration: AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL is not a URL with https:// and a host")
		}
	}
	return dynamo, nil
}

// The partitions and the fixed sort keys.
const (
	live       = "live"
	due        = "due"
	closed     = "closed"
	extensions = "ext#"
	keys       = "key#"
	lock       = "lock"
	summary    = "!summary" // sorts before every time
	behind     = "~"        // sorts behind everything
)

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number[N ~int | ~int64](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
}

func keyOf(pk, sk string) item { return item{"pk": text(pk), "sk": text(sk)} }

func textOf(i item, name string) string {
	if s, ok := i[name].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// numberOf returns a number; 0: there is none.
func numberOf(i item, name string) (value int64) {
	if n, ok := i[name].(*types.AttributeValueMemberN); ok {
		value, _ = strconv.ParseInt(n.Value, 10, 64) // all were written by number
	}
	return value
}

// Due implements window.Table.
func (t *Table) Due(ctx context.Context, now window.Instant) (found bool, last window.Summary, _ error) {
	in := t.below(due, dueAt(now, behind))
	in.Limit = aws.Int32(2)
	out, err := t.DynamoDB.Query(ctx, in)
	if err != nil {
		return false, last, wrap(err, "read what is due")
	}
	for _, one := range out.Items {
		if textOf(one, "sk") == summary {
			last = window.Summary{Open: int(numberOf(one, "open_windows")), Guarded: window.Instant(numberOf(one, "guarded"))}
		} else {
			found = true
		}
	}
	return found, last, nil
}

// below asks for the items of a partition whose sort keys come before one.
func (t *Table) below(pk, sk string) *dynamodb.QueryInput {
	return &dynamodb.QueryInput{
		TableName: &t.Name, ConsistentRead: aws.Bool(true),
		KeyConditionExpression: aws.String("pk = :pk AND sk < :sk"), ExpressionAttributeValues: item{":pk": text(pk), ":sk": text(sk)},
	}
}

// dueAt returns the sort key of a window that is due at a time.
func dueAt(at window.Instant, id string) string { return fmt.Sprintf("%011d#%s", at, id) }

// Live implements window.Table.
func (t *Table) Live(ctx context.Context) (list []window.Window, _ error) {
	err := t.query(ctx, live, func(one item) error {
		w, err := windowOf(one)
		list = append(list, w)
		return err
	})
	return list, wrap(err, "read the live windows")
}

// query hands on every item of a partition, page by page.
func (t *Table) query(ctx context.Context, pk string, hand func(item) error) error {
	in := t.below(pk, behind)
	for {
		out, err := t.DynamoDB.Query(ctx, in)
		if err != nil {
			return err
		}
		for _, one := range out.Items {
			if err := hand(one); err != nil {
				return err
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return nil
		}
	}
}

// windowOf returns the window of an item; its extensions are not read.
func windowOf(one item) (w window.Window, _ error) {
	if err := json.Unmarshal([]byte(textOf(one, "doc")), &w); err != nil {
		return w, fmt.Errorf("the item %s %s is no window: %w", textOf(one, "pk"), textOf(one, "sk"), err)
	}
	w.Version, w.Due = int(numberOf(one, "version")), window.Instant(numberOf(one, "due"))
	w.Told, w.Closed = textOf(one, "told"), textOf(one, "pk") == closed
	return w, nil
}

// extended returns the window of an item with its extensions.
func (t *Table) extended(ctx context.Context, one item) (window.Window, error) {
	w, err := windowOf(one)
	if err != nil || w.Extended == 0 {
		return w, err
	}
	err = t.query(ctx, extensions+w.ID, func(one item) error {
		var e window.Change
		err := json.Unmarshal([]byte(textOf(one, "doc")), &e)
		w.Extensions = append(w.Extensions, e)
		return err
	})
	return w, wrap(err, "read the extensions of window "+w.ID)
}

func (t *Table) get(ctx context.Context, pk, sk string) (item, error) {
	out, err := t.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.Name, Key: keyOf(pk, sk), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// Find implements window.Table. A window moves one way only: one that is not among the
// live ones any more is among the closed ones already.
func (t *Table) Find(ctx context.Context, id string) (window.Window, error) {
	for _, pk := range []string{live, closed} {
		one, err := t.get(ctx, pk, id)
		if err != nil {
			return window.Window{}, wrap(err, "read window "+id)
		}
		if len(one) > 0 {
			return t.extended(ctx, one)
		}
	}
	return window.Window{}, window.ErrNotFound
}

// ListClosed implements window.Table.
func (t *Table) ListClosed(ctx context.Context, before string, limit int) (list []window.Window, more string, _ error) {
	in := t.below(closed, cmp.Or(before, behind))
	in.ScanIndexForward, in.Limit = aws.Bool(false), aws.Int32(int32(limit)) //nolint:gosec // G115: at most 100.
	out, err := t.DynamoDB.Query(ctx, in)
	if err != nil {
		return nil, "", wrap(err, "read closed windows")
	}
	for _, one := range out.Items {
		w, err := t.extended(ctx, one)
		if err != nil {
			return nil, "", err
		}
		list = append(list, w)
	}
	return list, textOf(out.LastEvaluatedKey, "sk"), nil
}

// write is one write of a window.
type write struct {
	*Table
	items []types.TransactWriteItem
}

func (w *write) put(i item, condition *string, values item) {
	w.items = append(w.items, types.TransactWriteItem{Put: &types.Put{
		TableName: &w.Name, Item: i, ConditionExpression: condition, ExpressionAttributeValues: values,
	}})
}

func (w *write) delete(pk, sk string, condition *string, values item) {
	w.items = append(w.items, types.TransactWriteItem{Delete: &types.Delete{
		TableName: &w.Name, Key: keyOf(pk, sk), ConditionExpression: condition, ExpressionAttributeValues: values,
	}})
}

const absent = "attribute_not_exists(pk)"

// window puts a window's item.
func (w *write) window(one *window.Window, condition *string, values item) {
	i := keyOf(live, one.ID)
	if one.Closed {
		i = keyOf(closed, one.ID)
		i["expires"] = number(time.Now().Add(w.Retention).Unix())
	}
	i["doc"] = text(string(strictjson.Encode(one)))
	i["version"] = number(one.Version + 1)
	i["due"] = number(one.DueAt())
	tell(i, one)
	w.put(i, condition, values)
}

func (w *write) key(k *window.Key, usedFor string) {
	if k == nil {
		return
	}
	i := keyOf(keys+k.Name, "key")
	i["content"], i["used_for"], i["expires"] = text(k.Content), text(usedFor), number(k.Expires)
	w.put(i, aws.String(absent+" OR used_for = :replaces"), item{":replaces": text(k.Replaces)})
}

// commit writes all or nothing. Where the SDK repeats what was not confirmed, DynamoDB
// knows a transaction by its ClientRequestToken; the write of a single item may be
// refused for its own sake then.
func (w *write) commit(ctx context.Context, id string) (err error) {
	if p := w.items[0].Put; len(w.items) == 1 && p != nil {
		_, err = w.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: p.TableName, Item: p.Item,
			ConditionExpression: p.ConditionExpression, ExpressionAttributeValues: p.ExpressionAttributeValues,
		})
	} else {
		_, err = w.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: w.items})
	}
	if hasChanged(err) {
		return window.ErrChanged
	}
	return wrap(err, "write window "+id)
}

// hasChanged reports whether a write failed for what is in the table, or for another
// write at the same moment.
func hasChanged(err error) bool {
	var failed *types.ConditionalCheckFailedException
	var conflict *types.TransactionConflictException
	var canceled *types.TransactionCanceledException
	return errors.As(err, &failed) || errors.As(err, &conflict) ||
		errors.As(err, &canceled) && slices.ContainsFunc(canceled.CancellationReasons, func(r types.CancellationReason) bool {
			return slices.Contains([]string{"ConditionalCheckFailed", "TransactionConflict"}, aws.ToString(r.Code))
		})
}

// Write implements window.Table.
func (t *Table) Write(ctx context.Context, one window.Window, e *window.Change, key *window.Key) error {
	w := &write{Table: t}
	condition, values := aws.String("version = :version"), item{":version": number(one.Version)}
	if one.Version == 0 {
		condition, values = aws.String(absent), nil
	}
	at := one.DueAt()
	isDue := one.ID != window.GuardID && (at != one.Due || one.Version == 0)
	if one.Closed = one.Finished(); one.Closed {
		w.delete(live, one.ID, condition, values)
		condition, values = nil, nil
	}
	w.window(&one, condition, values)
	if one.Version > 0 && (isDue || one.Closed) {
		w.delete(due, dueAt(one.Due, one.ID), nil, nil)
	}
	if isDue && !one.Closed {
		w.put(keyOf(due, dueAt(at, one.ID)), nil, nil)
	}
	if e != nil {
		i := keyOf(extensions+one.ID, fmt.Sprintf("%03d", one.Extended))
		i["doc"] = text(string(strictjson.Encode(e)))
		i["expires"] = number(e.Until.Time().Add(t.Retention).AddDate(1, 0, 0).Unix())
		w.put(i, nil, nil)
	}
	w.key(key, one.ID)
	return w.commit(ctx, one.ID)
}

// wrap says what was being done when there was an error; nil stays nil.
func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Key implements window.Table.
func (t *Table) Key(ctx context.Context, name string) (*window.Key, error) {
	one, err := t.get(ctx, keys+name, "key")
	if err != nil || len(one) == 0 {
		return nil, wrap(err, "read an idempotency key")
	}
	return &window.Key{Name: name, Content: textOf(one, "content"), Window: textOf(one, "used_for")}, nil
}

// Lock implements window.Table.
func (t *Table) Lock(ctx context.Context, actor string, now, until window.Instant) (bool, error) {
	i := keyOf(lock, "reconcile")
	i["actor"], i["locked_until"] = text(actor), number(until)
	_, err := t.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.Name, Item: i,
		ConditionExpression:       aws.String("attribute_not_exists(pk) OR locked_until < :now OR actor = :actor"),
		ExpressionAttributeValues: item{":now": number(now), ":actor": text(actor)},
	})
	if hasChanged(err) {
		return false, nil
	}
	return err == nil, wrap(err, "take the lock")
}

// NoteOpen implements window.Table.
func (t *Table) NoteOpen(ctx context.Context, windows int) error {
	return t.note(ctx, "open_windows", int64(windows))
}

// NoteGuarded implements window.Table.
func (t *Table) NoteGuarded(ctx context.Context, until window.Instant) error {
	return t.note(ctx, "guarded", int64(until))
}

func (t *Table) note(ctx context.Context, name string, n int64) error {
	_, err := t.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name, Key: keyOf(due, summary),
		UpdateExpression: aws.String("SET " + name + " = :n"), ExpressionAttributeValues: item{":n": number(n)},
	})
	return wrap(err, "note a summary")
}
