package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

// smallShare is a little less than what Lambda gives a function of 128 MB of one
// processor: 128 of the 1,769 MB that a whole one comes with.
const smallShare = 70 // thousandths

// processorTime is what all threads of the function have used of the processors
// so far.
func (w *world) processorTime() (sum time.Duration) {
	w.t.Helper()
	folder := fmt.Sprintf("/proc/%d/task", w.function.PID())
	threads, err := os.ReadDir(folder)
	if err != nil {
		w.t.Skipf("what a process has used is read from /proc, which this system has not: %v", err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(folder + "/" + thread.Name() + "/schedstat")
		fields := bytes.Fields(text)
		if err != nil || len(fields) == 0 {
			continue // it has just ended
		}
		n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
		sum += time.Duration(n)
	}
	return sum
}

// What is left to do when the time for work is over is measured in time of the
// processor, which a busy machine does not change: Lambda gives a small function
// that little of it in the time that is kept back.
func TestDeadline_whatIsLeftForTheEndSuitsTheProcessorOfASmallFunction(t *testing.T) {
	t.Parallel()
	const (
		timeout  = 9 * time.Second
		keptBack = 500*time.Millisecond + 10_000*300*time.Microsecond
	)
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	w.enable(1) // so that connection and token are there
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
	var before time.Duration
	measured := make(chan struct{})
	time.AfterFunc(timeout-keptBack-500*time.Millisecond, func() {
		defer close(measured)
		before = w.processorTime()
	})

	inv := w.invoke(list("enable", upTo(10_001, 20_000)...), runtimeapi.WithTimeout(timeout), runtimeapi.WithGrace(time.Minute))

	<-measured
	used := w.processorTime() - before
	if n := inv.result.FailedByCode["deadline_exceeded"]; n != 10_000 {
		t.Fatalf("got %v, want 10,000 of deadline_exceeded", inv.result.FailedByCode)
	}
	if n := auditLines(inv.Logs); n != 10_000 {
		t.Errorf("got %d audit lines, want 10,000", n)
	}
	// A slow or crowded processor may take twice as long for the same.
	if most := 2 * keptBack / 1000 * smallShare; used > most {
		t.Errorf("the end took %v of a processor, want at most %v", used, most)
	}
	t.Logf("the end took %v of a processor, and %v until the reply", used, inv.Duration-(timeout-keptBack))
}
