package bench

import (
	"context"
	"regexp"
	"strconv"
	"time"
)

// cause is a kind of cold start that differs from the next one in one thing, so
// that the difference between the two is what that thing takes.
type cause struct {
	name string
	both time.Duration // init and first invocation
	cpu  time.Duration // of the process
}

// coldStartCauses measures cold starts that differ in one thing each.
func (b *bench) coldStartCauses(ctx context.Context) error {
	own, err := b.startUpstreams(ctx, latencies{}, true)
	if err != nil {
		return err
	}
	defer own.close()
	system, err := b.startUpstreams(ctx, latencies{}, false)
	if err != nil {
		return err
	}
	defer system.close()
	variants := []struct {
		name      string
		upstreams *upstreams
		contender string
		env       map[string]string
	}{
		{"hello world: the process, the Go runtime, Lambda's library", system, hello, nil},
		{"this function, where one authority is trusted", own, ours, nil},
		{"this function, where the system's list of authorities is", system, ours, nil},
		{"the same with two threads: `GOMAXPROCS=2`", system, ours, map[string]string{"GOMAXPROCS": "2"}},
		{"the same without `SSL_CERT_DIR`: the list's folder is read too", system, ours, map[string]string{"SSL_CERT_DIR": ""}},
	}
	all := make([][]cold, len(variants))
	for range b.Causes {
		for at, v := range variants {
			one, err := v.upstreams.coldStart(ctx, b.report.contender(v.contender), v.env)
			if err != nil {
				return err
			}
			all[at] = append(all[at], one)
		}
	}
	for at, v := range variants {
		b.report.Causes = append(b.report.Causes, cause{
			name: v.name, both: medianOf(all[at], cold.both), cpu: medianOf(all[at], func(c cold) time.Duration { return c.cpu }),
		})
	}
	b.report.PackageInit, err = b.packageInit(ctx, system)
	return err
}

// initClock is the time in a line of the Go runtime's inittrace.
var initClock = regexp.MustCompile(`^init \S+ @.* ms, ([0-9.]+) ms clock`)

// packageInit returns how long ours takes for the initialization of packages, by
// the Go runtime's own account: the median of the sums.
func (b *bench) packageInit(ctx context.Context, s *upstreams) (time.Duration, error) {
	var sums []time.Duration
	for range b.Causes {
		p, err := s.start(ctx, b.report.contender(ours), map[string]string{"GODEBUG": "inittrace=1"})
		if err != nil {
			return 0, err
		}
		sum := 0.0
		for _, line := range p.function.Logs() {
			if found := initClock.FindStringSubmatch(line); found != nil {
				clock, _ := strconv.ParseFloat(found[1], 64) // digits, says the expression
				sum += clock
			}
		}
		p.end()
		sums = append(sums, time.Duration(sum*float64(time.Millisecond)))
	}
	return median(sums), nil
}
