package soak

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
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
	at          time.Duration // since the start
	RSS         int64         // KiB
	Threads     int64
	Descriptors int64
	Goroutines  int64
	Live        int64         // bytes of the heap that the last collection found in use
	CPU         time.Duration // since its start
}

// figures are what is watched, and by how much more of it than before the median
// of the last fifth may be: what a few more connections or a later collection
// explain.
var figures = []struct {
	name  string
	unit  string
	value func(sample) int64
	slack func(before int64) int64
}{
	{"RSS", "KiB", func(s sample) int64 { return s.RSS }, func(before int64) int64 { return max(4<<10, before/8) }},
	{"live heap", "KiB", func(s sample) int64 { return s.Live >> 10 }, func(before int64) int64 { return max(1<<10, before/8) }},
	{"goroutines", "", func(s sample) int64 { return s.Goroutines }, func(int64) int64 { return 8 }},
	{"descriptors", "", func(s sample) int64 { return s.Descriptors }, func(int64) int64 { return 4 }},
	{"threads", "", func(s sample) int64 { return s.Threads }, func(int64) int64 { return 3 }},
}

func TestSoak_nothingGrows(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("what a process holds is read from /proc, which this system has not")
	}
	w := newWorld(t)
	began := time.Now()
	until := began.Add(*duration)
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
		w.sampleAll(t, time.Since(began))
	}
	group.Wait()
	w.print(t, time.Since(began))
	for _, p := range w.processes {
		if got := p.function.PID(); got != p.pid {
			t.Errorf("%s: process %d was ended, and %d began: nothing of what was measured holds", p.name, p.pid, got)
		}
		if p.invocations.Load() == 0 {
			t.Errorf("%s: no invocations", p.name)
		}
		if *duration >= time.Minute {
			p.judgeGrowth(t)
		}
	}
}

// judgeGrowth compares the last fifth of the time with the second one, when the
// start is over.
func (p *process) judgeGrowth(t *testing.T) {
	t.Helper()
	for _, f := range figures {
		before, after := p.median(1, f.value), p.median(4, f.value)
		if after > before+f.slack(before) {
			t.Errorf("%s: %s grew from %d to %d %s", p.name, f.name, before, after, f.unit)
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
func (w *world) sampleAll(t *testing.T, at time.Duration) {
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
		s.at = at
		p.samples = append(p.samples, s)
		if *verbose {
			t.Logf("%s: %+v", p.name, s)
		}
	}
	// The stand-ins remember every request; this process must not grow either.
	if w.segura.Count("") > 20_000 {
		w.segura.Reset()
		w.secrets.Reset()
		w.stack.PutSecret(nil)
	}
}

func (p *process) sample() (sample, error) {
	var s sample
	folder := fmt.Sprintf("/proc/%d", p.pid)
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return s, err
	}
	s.RSS, s.Threads = field(status, "VmRSS:"), field(status, "Threads:")
	descriptors, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return s, err
	}
	s.Descriptors = int64(len(descriptors))
	times, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return s, err
	}
	// Behind the name, which ends with a bracket: the 12th and 13th are ticks of
	// 10 ms, in the program and in the kernel for it.
	words := strings.Fields(string(times[bytes.LastIndexByte(times, ')')+1:]))
	for _, word := range words[11:13] {
		ticks, _ := strconv.ParseInt(word, 10, 64)
		s.CPU += time.Duration(ticks) * 10 * time.Millisecond
	}
	connection, err := net.Dial("unix", p.socket)
	if err != nil {
		return s, err
	}
	defer func() { _ = connection.Close() }()
	return s, json.NewDecoder(connection).Decode(&s)
}

// field is a number in /proc/PID/status.
func field(status []byte, name string) int64 {
	_, rest, _ := bytes.Cut(status, []byte(name))
	words := bytes.Fields(rest[:min(len(rest), 64)])
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(words[0]), 10, 64)
	return n
}

// print writes what was measured.
func (w *world) print(t *testing.T, took time.Duration) {
	t.Helper()
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "process\tinvocations\tidentifiers\tfailed\tlate\tCPU\tfigure\tfirst\t1st fifth\t2nd\t3rd\t4th\tlast\tmost\n")
	for _, p := range w.processes {
		if len(p.samples) == 0 {
			continue
		}
		last := p.samples[len(p.samples)-1]
		head := fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%.1f %%", p.name, p.invocations.Load(), p.identifiers.Load(), p.failed.Load(), p.late.Load(), 100*last.CPU.Seconds()/took.Seconds())
		for _, f := range figures {
			most := f.value(slices.MaxFunc(p.samples, func(a, b sample) int { return cmp.Compare(f.value(a), f.value(b)) }))
			fmt.Fprintf(table, "%s\t%s\t%d", head, strings.TrimSpace(f.name+" "+f.unit), f.value(p.samples[0]))
			for fifth := range 5 {
				fmt.Fprintf(table, "\t%d", p.median(fifth, f.value))
			}
			fmt.Fprintf(table, "\t%d\n", most)
			head = "\t\t\t\t\t"
		}
	}
	_ = table.Flush()
	t.Logf("%v, %d samples of each process, each taken while it did nothing\n%s", took.Round(time.Second), len(w.processes[0].samples), b.String())
}
