// Package windowtable keeps windows in one DynamoDB table, whose keys are the texts pk
// and sk, and whose items expire at the Unix time in expires:
//
//	live       <id>          a window that is not closed; the id never changes, so that no reading of all of them misses one
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
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
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

func numberOf(i item, name string) (int64, bool) {
	n, ok := i[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, false
	}
	value, err := strconv.ParseInt(n.Value, 10, 64)
	return value, err == nil
}

// Due implements window.Table.
func (t *Table) Due(ctx context.Context, now window.Instant) (bool, window.Summary, error) {
	out, err := t.DynamoDB.Query(ctx, &dynamodb.QueryInput{
		TableName: &t.Name, ConsistentRead: aws.Bool(true), Limit: aws.Int32(2),
		KeyConditionExpression:    aws.String("pk = :pk AND sk <= :now"),
		ExpressionAttributeValues: item{":pk": text(due), ":now": text(dueAt(now, "~"))},
	})
	if err != nil {
		return false, window.Summary{}, fmt.Errorf("read what is due: %w", err)
	}
	var last window.Summary
	found := false
	for _, one := range out.Items {
		if textOf(one, "sk") != summary {
			found = true
			continue
		}
		if n, ok := numberOf(one, "open_windows"); ok {
			last.Open = aws.Int(int(n))
		}
		if n, ok := numberOf(one, "guarded"); ok {
			guarded := window.Instant(n)
			last.Guarded = &guarded
		}
	}
	return found, last, nil
}

// dueAt returns the sort key of a window that is due at a time.
func dueAt(at window.Instant, id string) string { return fmt.Sprintf("%011d#%s", at, id) }

// Live implements window.Table.
func (t *Table) Live(ctx context.Context) ([]window.Window, error) {
	var list []window.Window
	err := t.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(live)},
	}, func(one item) error {
		w, err := windowOf(one)
		list = append(list, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the live windows: %w", err)
	}
	return list, nil
}

// query hands on every item of a consistent query, page by page.
func (t *Table) query(ctx context.Context, in *dynamodb.QueryInput, hand func(item) error) error {
	in.TableName, in.ConsistentRead = &t.Name, aws.Bool(true)
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
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func windowOf(one item) (window.Window, error) {
	var w window.Window
	if err := json.Unmarshal([]byte(textOf(one, "doc")), &w); err != nil {
		return w, fmt.Errorf("the item %s %s is no window: %w", textOf(one, "pk"), textOf(one, "sk"), err)
	}
	version, _ := numberOf(one, "version")
	at, _ := numberOf(one, "due")
	w.Version, w.Due, w.Told = int(version), window.Instant(at), textOf(one, "told")
	return w, nil
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
func (t *Table) Find(ctx context.Context, id string) (window.Window, bool, error) {
	for _, pk := range []string{live, closed} {
		one, err := t.get(ctx, pk, id)
		if err != nil {
			return window.Window{}, false, fmt.Errorf("read window %s: %w", id, err)
		}
		if len(one) == 0 {
			continue
		}
		w, err := windowOf(one)
		if err == nil && w.Extended > 0 {
			err = t.readExtensions(ctx, &w)
		}
		return w, pk == closed, err
	}
	return window.Window{}, false, window.ErrNotFound
}

func (t *Table) readExtensions(ctx context.Context, w *window.Window) error {
	err := t.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(extensions + w.ID)},
	}, func(one item) error {
		var e window.Extension
		err := json.Unmarshal([]byte(textOf(one, "doc")), &e)
		w.Additions = append(w.Additions, e)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the extensions of window %s: %w", w.ID, err)
	}
	return nil
}

// Closed implements window.Table.
func (t *Table) Closed(ctx context.Context, before string, limit int) ([]window.Window, string, error) {
	in := &dynamodb.QueryInput{
		TableName: &t.Name, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(limit)), //nolint:gosec // G115: at most 100.
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(closed)},
	}
	if before != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND sk < :before")
		in.ExpressionAttributeValues[":before"] = text(before)
	}
	out, err := t.DynamoDB.Query(ctx, in)
	if err != nil {
		return nil, "", fmt.Errorf("read closed windows: %w", err)
	}
	var list []window.Window
	for _, one := range out.Items {
		w, err := windowOf(one)
		if err == nil && w.Extended > 0 {
			err = t.readExtensions(ctx, &w)
		}
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
	token string // tells this write's item from any other's
	items []types.TransactWriteItem
}

func (t *Table) newWrite() *write { return &write{Table: t, token: rand.Text()} }

func (w *write) put(i item, condition string, values item) {
	p := &types.Put{TableName: &w.Name, Item: i}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	if len(values) > 0 {
		p.ExpressionAttributeValues = values
	}
	w.items = append(w.items, types.TransactWriteItem{Put: p})
}

func (w *write) delete(pk, sk, condition string, values item) {
	d := &types.Delete{TableName: &w.Name, Key: keyOf(pk, sk)}
	if condition != "" {
		d.ConditionExpression, d.ExpressionAttributeValues = &condition, values
	}
	w.items = append(w.items, types.TransactWriteItem{Delete: d})
}

const absent = "attribute_not_exists(pk)"

// window puts a window's item.
func (w *write) window(pk string, one *window.Window, condition string, values item) {
	i := keyOf(pk, one.ID)
	i["doc"] = text(string(strictjson.Encode(one)))
	i["version"] = number(one.Version + 1)
	i["due"] = number(one.DueAt())
	i["token"] = text(w.token)
	if pk == closed {
		i["expires"] = number(time.Now().Add(w.Retention).Unix())
	}
	tell(i, one, pk == closed)
	w.put(i, condition, values)
}

func (w *write) dueAt(at window.Instant, id string) { w.put(keyOf(due, dueAt(at, id)), "", nil) }

func (w *write) key(k *window.Key) {
	if k == nil {
		return
	}
	i := keyOf(keys+k.Name, "key")
	i["content"], i["used_for"], i["expires"] = text(k.Content), text(k.Window), number(k.Expires)
	if k.Replaces == "" {
		w.put(i, absent, nil)
		return
	}
	w.put(i, absent+" OR used_for = :replaces", item{":replaces": text(k.Replaces)})
}

// commit writes all or nothing. Where a condition fails, an earlier attempt of this very
// write may be why: the SDK repeats what was not confirmed.
func (w *write) commit(ctx context.Context, id string) error {
	err := w.send(ctx)
	if err == nil || !hasChanged(err) {
		return err
	}
	for _, pk := range []string{live, closed} {
		one, fault := w.get(ctx, pk, id)
		if fault != nil {
			return fault
		}
		if textOf(one, "token") == w.token {
			return nil
		}
	}
	return window.ErrChanged
}

func (w *write) send(ctx context.Context) error {
	if p := w.items[0].Put; len(w.items) == 1 && p != nil {
		_, err := w.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: p.TableName, Item: p.Item,
			ConditionExpression: p.ConditionExpression, ExpressionAttributeValues: p.ExpressionAttributeValues,
		})
		return err
	}
	_, err := w.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: w.items})
	return err
}

// hasChanged reports whether a write failed for what is in the table, or for another
// write at the same moment.
func hasChanged(err error) bool {
	var failed *types.ConditionalCheckFailedException
	var conflict *types.TransactionConflictException
	if errors.As(err, &failed) || errors.As(err, &conflict) {
		return true
	}
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		return false
	}
	for _, reason := range canceled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "ConditionalCheckFailed", "TransactionConflict":
			return true
		}
	}
	return false
}

// Create implements window.Table.
func (t *Table) Create(ctx context.Context, one window.Window, key *window.Key) error {
	w := t.newWrite()
	w.window(live, &one, absent, nil)
	w.dueAt(one.DueAt(), one.ID)
	w.key(key)
	return wrap(w.commit(ctx, one.ID), "write window "+one.ID)
}

// Replace implements window.Table.
func (t *Table) Replace(ctx context.Context, one window.Window, e *window.Extension, key *window.Key) error {
	w := t.newWrite()
	condition, values := "version = :version", item{":version": number(one.Version)}
	if one.Version == 0 {
		condition, values = absent, nil
	}
	hasDue := one.ID != window.GuardID
	if one.Finished() {
		w.delete(live, one.ID, condition, values)
		w.window(closed, &one, "", nil)
		w.delete(due, dueAt(one.Due, one.ID), "", nil)
	} else {
		w.window(live, &one, condition, values)
		if at := one.DueAt(); hasDue && at != one.Due {
			w.delete(due, dueAt(one.Due, one.ID), "", nil)
			w.dueAt(at, one.ID)
		}
	}
	if e != nil {
		i := keyOf(extensions+one.ID, fmt.Sprintf("%03d", one.Extended))
		i["doc"] = text(string(strictjson.Encode(e)))
		i["expires"] = number(e.Until.Time().Add(t.Retention).AddDate(1, 0, 0).Unix())
		w.put(i, "", nil)
	}
	w.key(key)
	return wrap(w.commit(ctx, one.ID), "write window "+one.ID)
}

func wrap(err error, what string) error {
	if err == nil || errors.Is(err, window.ErrChanged) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Key implements window.Table.
func (t *Table) Key(ctx context.Context, name string) (*window.Key, error) {
	one, err := t.get(ctx, keys+name, "key")
	if err != nil {
		return nil, fmt.Errorf("read an idempotency key: %w", err)
	}
	if len(one) == 0 {
		return nil, nil //nolint:nilnil // the interface says what nil means
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
	if err != nil && hasChanged(err) {
		return false, nil
	}
	return err == nil, wrap(err, "take the lock")
}

// Unlock implements window.Table.
func (t *Table) Unlock(ctx context.Context, actor string) error {
	_, err := t.DynamoDB.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &t.Name, Key: keyOf(lock, "reconcile"),
		ConditionExpression: aws.String("actor = :actor"), ExpressionAttributeValues: item{":actor": text(actor)},
	})
	if err != nil && hasChanged(err) {
		return nil
	}
	return wrap(err, "give the lock back")
}

// Note implements window.Table.
func (t *Table) Note(ctx context.Context, s window.Summary) error {
	expression, values := "SET ", item{}
	if s.Open != nil {
		expression += "open_windows = :open"
		values[":open"] = number(*s.Open)
	}
	if s.Guarded != nil {
		if s.Open != nil {
			expression += ", "
		}
		expression += "guarded = :guarded"
		values[":guarded"] = number(*s.Guarded)
	}
	_, err := t.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.Name, Key: keyOf(due, summary), UpdateExpression: &expression, ExpressionAttributeValues: values,
	})
	return wrap(err, "note a summary")
}
