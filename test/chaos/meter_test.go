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
// kernel kept the threads of the function and of this process waiting: see waits.
type meter struct {
	mu   sync.Mutex
	lags []lag
	due  time.Time // when the meter should run next; if that is past, it is late already
}

type lag struct {
	at   time.Time
	late time.Duration
}

const (
	meterInterval = 2 * time.Millisecond
	meterMemory   = 2 * time.Minute
)

func startMeter(ctx context.Context) *meter {
	m := &meter{due: time.Now().Add(meterInterval)}
	go func() {
		for ctx.Err() == nil {
			time.Sleep(meterInterval)
			m.tick(time.Now())
		}
	}()
	return m
}

func (m *meter) tick(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if late := now.Sub(m.due); late > meterInterval {
		m.lags = append(m.lags, lag{now, late})
	}
	m.due = time.Now().Add(meterInterval)
	if len(m.lags) > 1000 && now.Sub(m.lags[len(m.lags)/2].at) > meterMemory {
		m.lags = append([]lag(nil), m.lags[len(m.lags)/2:]...)
	}
}

// total is the sum of the delays since then, one that lasts still among them: one
// function pays several of them.
func (m *meter) total(since time.Time) time.Duration {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum time.Duration
	if late := now.Sub(m.due); late > meterInterval {
		sum += late
	}
	for at := len(m.lags) - 1; at >= 0 && !m.lags[at].at.Before(since); at-- {
		sum += m.lags[at].late
	}
	return sum
}

// waits are how long each thread of some processes has waited for a processor so
// far. Only Linux tells; elsewhere there are none.
type waits map[string]time.Duration

func waitsOf(pids ...int) waits {
	all := waits{}
	for _, pid := range pids {
		folder := fmt.Sprintf("/proc/%d/task", pid)
		threads, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, thread := range threads {
			text, err := os.ReadFile(folder + "/" + thread.Name() + "/schedstat")
			if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
				n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
				all[thread.Name()] = time.Duration(n)
			}
		}
	}
	return all
}

// since is how long they have waited since then, all together.
func (w waits) since(then waits) (sum time.Duration) {
	for thread, now := range w {
		sum += max(0, now-then[thread])
	}
	return sum
}
