package statemachine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// mapRun is a distributed Map state under way, and what is kept of it for a
// redrive: each batch is one execution of the inner machine.
type mapRun struct {
	batches []any
	outputs []any // of those that succeeded, by batch; nil for the others

	mu     sync.Mutex
	next   int
	failed int
}

// each runs a distributed Map state, or goes on with it after a redrive.
//
// Step Functions starts an execution of the inner machine for each batch, at most
// MaxConcurrency at once, and none any more once too many have failed. Here each
// of those places has a clock of its own.
func (x *Execution) each(ctx context.Context, state State, _ any) (any, error) {
	run := x.maps[x.state]
	if run == nil {
		var err error
		if run, err = x.read(state); err != nil {
			return nil, err
		}
		x.maps[x.state] = run
	}
	run.next, run.failed = 0, 0
	places, err := x.scope.number(state.MaxConcurrency)
	if err != nil {
		return nil, err
	}
	percentage, err := x.scope.number(state.ToleratedFailurePercentage)
	if err != nil {
		return nil, err
	}
	allowed := int(percentage / 100 * float64(len(run.batches)))
	x.inPlaces(ctx, state, run, int(places), allowed)
	if run.failed > allowed {
		return nil, &Error{"States.ExceedToleratedFailureThreshold", fmt.Sprintf("%d of %d batches failed", run.failed, len(run.batches))}
	}
	outputs := []any{}
	for _, output := range run.outputs {
		if output != nil {
			outputs = append(outputs, output)
		}
	}
	return outputs, nil
}

// inPlaces works off the batches in so many places at once.
func (x *Execution) inPlaces(ctx context.Context, state State, run *mapRun, places, allowed int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	clocks := make([]Clock, places)
	for i := range clocks {
		clocks[i] = x.services.Clock.Fork()
		work.Go(func() { x.work(ctx, state, run, clocks[i], allowed) })
	}
	work.Wait()
	for _, clock := range clocks {
		x.services.Clock.Join(clock)
	}
}

// read makes the batches of what the reader reads.
func (x *Execution) read(state State) (*mapRun, error) {
	arguments, err := x.scope.evaluate(state.ItemReader.Arguments)
	if err != nil {
		return nil, err
	}
	input, err := x.scope.evaluate(state.ItemBatcher.BatchInput)
	if err != nil {
		return nil, err
	}
	place, is := arguments.(map[string]any)
	if !is {
		return nil, errors.New("the reader's arguments are no object")
	}
	items, err := x.services.Bucket.items(state.ItemReader, fmt.Sprint(place["Key"]))
	if err != nil {
		return nil, err
	}
	size, err := x.scope.number(state.ItemBatcher.MaxItemsPerBatch)
	if err != nil {
		return nil, err
	}
	run := &mapRun{}
	for len(items) > 0 {
		n := min(int(size), len(items))
		run.batches = append(run.batches, map[string]any{"Items": items[:n:n], "BatchInput": input})
		items = items[n:]
	}
	run.outputs = make([]any, len(run.batches))
	return run, nil
}

// work takes batch after batch, until there are none or too many have failed.
func (x *Execution) work(ctx context.Context, state State, run *mapRun, clock Clock, allowed int) {
	services := x.services
	services.Clock, services.Watch = clock, nil
	for {
		run.mu.Lock()
		for run.next < len(run.batches) && run.outputs[run.next] != nil {
			run.next++
		}
		i := run.next
		run.next++
		stop := i >= len(run.batches) || run.failed > allowed || ctx.Err() != nil
		run.mu.Unlock()
		if stop {
			return
		}
		output, err := x.batch(ctx, state.ItemProcessor, run.batches[i], i, services)
		run.mu.Lock()
		if run.outputs[i] = output; err != nil {
			run.failed++
		}
		run.mu.Unlock()
	}
}

// batch executes the inner machine once.
func (x *Execution) batch(ctx context.Context, m *Machine, input any, i int, services Services) (output any, err error) {
	text, err := json.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("write batch %d: %w", i, err)
	}
	child, err := m.Run(ctx, x.Name+"-"+strconv.Itoa(i), text, services)
	if err != nil {
		return nil, err
	}
	if child.Status != Succeeded {
		return nil, &Error{child.Error, child.Cause}
	}
	if err := json.Unmarshal(child.Output, &output); err != nil {
		return nil, fmt.Errorf("read the output of batch %d: %w", i, err)
	}
	return output, nil
}

// Redrive goes on with an execution that has failed, at the state where it did,
// as RedriveExecution does: of a Map state only with the batches that have not
// succeeded.
func (x *Execution) Redrive(ctx context.Context) error {
	if x.Status != Failed && x.Status != Aborted {
		return fmt.Errorf("execution %s is %s", x.Name, x.Status)
	}
	ctx, x.cancel = context.WithCancelCause(ctx)
	defer x.cancel(nil)
	x.Error, x.Cause = "", ""
	output, err := x.run(ctx, x.scope.states["input"])
	x.Stopped = x.services.Clock.Now()
	x.end(ctx, output, err)
	return nil
}
