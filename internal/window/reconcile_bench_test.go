package window

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
)

// stored is a table that keeps windows as text, as DynamoDB does, and answers at once.
type stored struct {
	bench
	texts    map[string]string
	versions map[string]int
	due      bool
}

func (s *stored) Due(context.Context, Instant) (bool, Summary, error) { return s.due, Summary{}, nil }

func (s *stored) Live(context.Context) (list []Window, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, text := range s.texts {
		var w Window
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			return nil, err
		}
		w.Version = s.versions[id]
		list = append(list, w)
	}
	return list, nil
}

func (s *stored) Write(_ context.Context, w Window, _ *Change, _ *Key) error {
	text, err := json.Marshal(&w)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[w.ID] = string(text)
	s.versions[w.ID]++
	if w.Finished() {
		delete(s.texts, w.ID)
	}
	return err
}

func (s *stored) Lock(context.Context, string, Instant, Instant) (bool, error) { return true, nil }
func (s *stored) Note(context.Context, Summary) error                          { return nil }

// Call takes 20 ms a call, 64 at once.
func (s *stored) Call(_ context.Context, orders []activation.Call) []activation.Done {
	all := make([]activation.Done, len(orders))
	for from := 0; from < len(orders); from += 64 {
		var group sync.WaitGroup
		for at := from; at < min(from+64, len(orders)); at++ {
			group.Go(func() {
				pause(context.Background(), 20*time.Millisecond)
				all[at] = activation.Done{Item: apisecret.Item{Identifier: orders[at].Identifier, Outcome: apisecret.Disabled, Attempts: 1}}
			})
		}
		group.Wait()
	}
	return all
}

// 10,000 live windows of 100,000 API secrets, of which 1,000 windows with 10,000 end.
func BenchmarkReconcile_aThousandWindowsThatEndAtOnce(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := &stored{texts: map[string]string{}, versions: map[string]int{}, due: true}
		now := Now()
		for at := range 10_000 {
			list := make([]apisecret.Identifier, 10)
			for n := range list {
				list[n] = apisecret.Identifier(at*10 + n + 1)
			}
			w := Opened(fmt.Sprint("window-", at), now-1000, now+1000, list)
			w.Begun = true
			if at < 1000 {
				w.Until = now
			}
			for n := range w.Leases {
				w.Leases[n].State, w.Leases[n].Begun, w.Leases[n].Landed = Enabled, true, true
			}
			if err := s.Write(b.Context(), w, nil, nil); err != nil {
				b.Fatal(err)
			}
		}
		k := &Keeper{Table: s, Caller: s, Longest: time.Hour, AttemptTimeout: 10 * time.Second, FirstCalls: 50 * 64, Log: slog.New(slog.DiscardHandler)}
		b.StartTimer()

		report, err := k.Reconcile(b.Context())

		if err != nil || report.Disabled != 10_000 || report.Open != 9_000 {
			b.Fatalf("got %+v and %v", report, err)
		}
	}
}
