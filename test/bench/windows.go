package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/window"
	"segura-enable/internal/windowtable"
	"segura-enable/simulated/stage"
)

// What a reconcile finds: windows of windowSize API secrets, of which some end at once.
const (
	liveWindows = 10_000
	windowsOver = manySize / windowSize
	windowSize  = 10
)

// windowMemory is the template's for WindowFunction, in MB.
const windowMemory = 256

// tableTakes is how long the table takes to answer the function.
const tableTakes = 5 * time.Millisecond

// windows are a table of windows and the function for them.
type windows struct {
	*upstreams
	server   *table
	table    *windowtable.Table
	function contender
	made     int // windows so far
}

func (b *bench) startWindows(ctx context.Context) (*windows, error) {
	server := startTable()
	client := dynamodb.New(dynamodb.Options{BaseEndpoint: &server.URL, Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}})
	w := &windows{
		upstreams: b.late, server: server, function: contender{name: stage.Window, bootstrap: b.bootstraps[stage.Window]},
		table: &windowtable.Table{DynamoDB: client, Name: "windows", Retention: time.Hour},
	}
	return w, w.open(ctx, liveWindows-windowsOver, window.At(time.Now().Add(time.Hour)))
}

// open writes windows that are open until a time.
func (w *windows) open(ctx context.Context, n int, until window.Instant) error {
	w.server.takes.Store(0)
	defer w.server.takes.Store(int64(tableTakes))
	for range n {
		list := make([]apisecret.Identifier, windowSize)
		for at := range list {
			list[at] = apisecret.Identifier(w.made*windowSize + at + 1)
		}
		w.made++
		one := window.Opened(window.NewID(time.Now()), until-1000, until, list)
		one.Begun = true
		for at := range one.Leases {
			one.Leases[at].State, one.Leases[at].Begun, one.Leases[at].Landed = window.Enabled, true, true
		}
		if err := w.table.Write(ctx, one, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// reconciles measures a reconcile with nothing due, and one of windows that have ended.
func (b *bench) reconciles(ctx context.Context, memory int, w *windows) error {
	p, err := w.start(ctx, w.function, memory, map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": w.server.URL, "AWS_MAX_ATTEMPTS": "1"})
	if err != nil {
		return err
	}
	defer p.end()
	idle, err := p.reconcile(ctx, 0)
	if err != nil {
		return err
	}
	if err := w.open(ctx, windowsOver, window.At(time.Now())); err != nil {
		return err
	}
	all, err := p.reconcile(ctx, windowsOver*windowSize)
	b.report.add(figure{nothing, p.name, memory}, idle)
	b.report.add(figure{windowEnd, p.name, memory}, all)
	return err
}

func (p *process) reconcile(ctx context.Context, disabled int) (sample, error) {
	s, answer, err := p.invoke(ctx, []byte(`{"reconcile": true}`))
	var report struct{ Disabled int }
	if err == nil && (json.Unmarshal(answer, &report) != nil || report.Disabled != disabled) {
		err = fmt.Errorf("reconcile: %.300s", answer)
	}
	return s, err
}
