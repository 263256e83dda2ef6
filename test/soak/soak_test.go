package soak

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// interval is between two samples.
const interval = 2 * time.Second

// sample is what a process holds at one moment at which it does nothing.
type sample struct {
	RSS         int64 // KiB
	Threads     int64
	Descriptors int64
	Goroutines  int64
	Live        int64 // bytes of the heap that the last collection found in use
}

// figures are what is watched, and by how much more of it than before the median
// of the last fifth may be: what a few more connections or a later collection
// explain.
var figures = []struct {
	name  string
	value func(sample) int64
	slack func(before int64) int64
}{
	{"RSS in KiB", func(s sample) int64 { return s.RSS }, func(before int64) int64 { return max(4<<10, before/8) }},
	{"live heap in KiB", func(s sample) int64 { return s.Live >> 10 }, func(before int64) int64 { return max(1<<10, before/8) }},
	{"goroutines", func(s sample) int64 { return s.Goroutines }, func(int64) int64 { return 8 }},
	{"descriptors", func(s sample) int64 { return s.Descriptors }, func(int64) int64 { return 4 }},
	{"threads", func(s sample) int64 { return s.Threads }, func(int64) int64 { return 3 }},
}

func TestSoak_nothingGrows(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("what a process holds is read from /proc, which this system has not")
	}
	w := newWorld(t)
	until := time.Now().Add(*duration)
	var group sync.WaitGroup
	for n, p := range w.processes {
		for worker := range p.workers {
			group.Go(func() {
				if err := w.drive(p, rand.New(rand.NewPCG(uint64(n), uint64(worker))), until); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Go(func() { w.churn(rand.New(rand.NewPCG(1, 2)), until) })
	for time.Now().Before(until) {
		time.Sleep(min(interval, time.Until(until)))
		w.sampleAll(t)
	}
	group.Wait()
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "process\tinvocations\tfigure\t1st fifth\t2nd\t3rd\t4th\tlast\n")
	for _, p := range w.processes {
		if got := p.function.PID(); got != p.pid {
			t.Errorf("%s: process %d was ended, and %d began: nothing of what was measured holds", p.name, p.pid, got)
		}
		if p.invocations.Load() == 0 || len(p.samples) == 0 {
			t.Fatalf("%s: %d invocations and %d samples", p.name, p.invocations.Load(), len(p.samples))
		}
		p.judge(t, table)
	}
	_ = table.Flush()
	t.Logf("%d samples of each process, each taken while it did nothing\n%s", len(w.processes[0].samples), b.String())
}

// judge writes what was measured, and compares the last fifth of the time with the
// second one, when the start is over.
func (p *process) judge(t *testing.T, table io.Writer) {
	t.Helper()
	for _, f := range figures {
		fmt.Fprintf(table, "%s\t%d\t%s", p.name, p.invocations.Load(), f.name)
		for fifth := range 5 {
			fmt.Fprintf(table, "\t%d", p.median(fifth, f.value))
		}
		fmt.Fprintln(table)
		before, after := p.median(1, f.value), p.median(4, f.value)
		if *duration >= time.Minute && after > before+f.slack(before) {
			t.Errorf("%s: %s grew from %d to %d", p.name, f.name, before, after)
		}
	}
}

// median of a fifth of the samples, counted from 0.
func (p *process) median(fifth int, value func(sample) int64) int64 {
	n := len(p.samples)
	part := slices.SortedFunc(slices.Values(p.samples[n*fifth/5:max(n*(fifth+1)/5, n*fifth/5+1)]),
		func(a, b sample) int { return cmp.Compare(value(a), value(b)) })
	return value(part[len(part)/2])
}

// sampleAll waits until nothing is under way and takes a sample of each process.
func (w *world) sampleAll(t *testing.T) {
	t.Helper()
	w.quiet.Lock()
	defer w.quiet.Unlock()
	time.Sleep(50 * time.Millisecond) // for what is on its way out
	for _, p := range w.processes {
		s, err := p.sample()
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		p.samples = append(p.samples, s)
	}
	// The stand-ins remember every request; this process must not grow either.
	if w.Segura.Count("") > 20_000 {
		w.Segura.Reset()
		w.Secrets.Reset()
		w.PutSecret(nil)
	}
}

func (p *process) sample() (sample, error) {
	var s sample
	folder := fmt.Sprintf("/proc/%d", p.pid)
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			_, _ = fmt.Sscan(value, &s.RSS)
		case "Threads":
			_, _ = fmt.Sscan(value, &s.Threads)
		}
	}
	descriptors, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return s, err
	}
	s.Descriptors = int64(len(descriptors))
	connection, err := net.Dial("unix", p.socket)
	if err != nil {
		return s, err
	}
	defer func() { _ = connection.Close() }()
	return s, json.NewDecoder(connection).Decode(&s)
}
