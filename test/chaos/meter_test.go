package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// meter measures how late this machine is with what is due. A busy machine makes
// a function miss a limit of some milliseconds through no fault of its own; that
// is told apart by what the meter saw meanwhile, together with how long the
// kernel kept the threads of the function and of this process waiting.
type meter struct {
	mu  sync.Mutex
	sum time.Duration // of all delays so far
	due time.Time     // when the meter should run next; if that is past, it is late already
}

const meterInterval = 2 * time.Millisecond

func startMeter(ctx context.Context) *meter {
	m := &meter{due: time.Now().Add(meterInterval)}
	go func() {
		for ctx.Err() == nil {
			time.Sleep(meterInterval)
			m.mu.Lock()
			m.sum += m.late()
			m.due = time.Now().Add(meterInterval)
			m.mu.Unlock()
		}
	}()
	return m
}

// late is by how much the meter is late; the caller holds the lock.
func (m *meter) late() time.Duration {
	if late := time.Since(m.due); late > meterInterval {
		return late
	}
	return 0
}

// now is how late the machine has been until now: in all, under an empty name, and how
// long each thread of some processes has waited for a processor. Only Linux tells the
// latter.
func (m *meter) now(pids ...int) map[string]time.Duration {
	m.mu.Lock()
	waits := map[string]time.Duration{"": m.sum + m.late()}
	m.mu.Unlock()
	for _, pid := range append(pids, os.Getpid()) {
		folder := fmt.Sprintf("/proc/%d/task", pid)
		threads, _ := os.ReadDir(folder) // none where there is no such process
		for _, thread := range threads {
			text, err := os.ReadFile(folder + "/" + thread.Name() + "/schedstat")
			if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
				n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
				waits[thread.Name()] = time.Duration(n)
			}
		}
	}
	return waits
}

// since is the sum of the delays since then: one function pays several of them.
func (m *meter) since(then map[string]time.Duration, pids ...int) (sum time.Duration) {
	for thread, wait := range m.now(pids...) {
		sum += max(0, wait-then[thread])
	}
	return sum
}
