package chaos

import (
	"context"
	"sync"
	"time"
)

// meter measures how late this machine is with what is due. A busy machine makes
// a function miss a limit of some milliseconds through no fault of its own; that
// is told apart by what the meter saw meanwhile.
type meter struct {
	mu   sync.Mutex
	lags []lag
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
	m := &meter{}
	go func() {
		for ctx.Err() == nil {
			began := time.Now()
			time.Sleep(meterInterval)
			if late := time.Since(began) - meterInterval; late > meterInterval {
				m.add(lag{time.Now(), late})
			}
		}
	}()
	return m
}

func (m *meter) add(l lag) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lags = append(m.lags, l)
	if len(m.lags) > 1000 && time.Since(m.lags[len(m.lags)/2].at) > meterMemory {
		m.lags = append([]lag(nil), m.lags[len(m.lags)/2:]...)
	}
}

// worst is the longest delay that was seen since then.
func (m *meter) worst(since time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var worst time.Duration
	for at := len(m.lags) - 1; at >= 0 && !m.lags[at].at.Before(since); at-- {
		worst = max(worst, m.lags[at].late)
	}
	return worst
}

// total is the sum of the delays since then: one function pays several of them.
func (m *meter) total(since time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum time.Duration
	for at := len(m.lags) - 1; at >= 0 && !m.lags[at].at.Before(since); at-- {
		sum += m.lags[at].late
	}
	return sum
}
