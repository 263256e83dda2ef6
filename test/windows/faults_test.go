package windows

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/window"
	"segura-enable/internal/windowtable"
	"segura-enable/simulated/dynamodb"
	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
	"segura-enable/test/windowtest"
)

// The rows, of what windows do and of faults. Each is played on copies of the compiled function with clocks of
// their own; after each step the table and Segura are held against what is certain.
var rows = []struct {
	name  string
	steps []step
}{
	{"opens, shows and closes a window", steps(opensShowsAndCloses)},
	{"disables at the end, and is quiet when nothing is due", steps(disablesAtTheEnd)},
	{"extends what is over", steps(extends)},
	{"compares idempotency keys", steps(comparesKeys)},
	{"is conflict-free where the table answers too late", steps(on(repeating, survivesAnUnheardWrite))},
	{"enables nothing where the table cannot be written", steps(enablesNothingWithoutTheTable)},
	{"refuses what it cannot understand", steps(on(narrowed, refuses))},
	{"closes at once a window of which everything failed", steps(closesWhatFailed)},
	{"lists windows", steps(lists)},
	{"checks the table", steps(checks)},
	{"the reconciler is ten minutes late", steps(
		open("a", 60, 0, 1), move(660), is("a", "closing: 0 enabled, 1 enabled"), open("b", 3600, 1),
		reconcile("open 1, enabled 0, disabled 1, failed 0, overdue 0"), is("a", "closed: 0 disabled, 1 kept"), active(1),
	)},
	{"two reconciles at once, and the lock is lost", steps(
		open("a", 60, 0, 1, 2), open("b", 60, 2, 3), open("c", 3600, 3, 4), move(60),
		together(1, on(0, reconciled), on(1, reconciled), on(2, losesTheLock)),
		settled, is("a", "closed: 0 disabled, 1 disabled, 2 disabled"), is("c", "open: 3 enabled, 4 enabled"), active(3, 4),
	)},
	{"reconciles beside whoever opens, extends and closes", steps(
		together(25,
			on(0, reconciled), on(1, reconciled),
			on(2, open("a", 3, 0, 1), extend("b", 2), closes("a")), on(3, open("b", 2, 1, 2), extend("a", 2), closes("b")),
			on(3, losesTheLock), on(2, move(2)),
		),
		move(10), settled, active(),
	)},
	{"one clock is a minute ahead", steps(
		skew(1, 60), open("a", 300, 0, 1), open("b", 600, 1, 2), move(240),
		on(1, reconcile("open 1, enabled 0, disabled 1, failed 0, overdue 0")), active(1, 2), is("a", "closed: 0 disabled, 1 kept"),
		extend("b", 60), on(1, open("c", 600, 2)), move(390), together(1, on(0, reconciled), on(1, reconciled)),
		is("b", "closed: 1 disabled, 2 kept"), active(2),
	)},
	{"one clock is a minute behind", steps(
		skew(1, -60), open("a", 300, 0, 1), on(1, open("b", 420, 1)), move(300),
		on(1, reconciled), active(0, 1),
		together(1, on(0, reconciled), on(1, reconciled)), is("a", "closed: 0 disabled, 1 kept"), active(1),
		on(1, extend("b", 60)), move(120), together(1, on(0, reconciled), on(1, reconciled)), is("b", "closed: 1 disabled"), active(),
	)},
	{"Segura is down for two hours", steps(
		open("a", 3600, 0, 1), open("b", 3600, 1), open("c", 7200, 2), move(3570),
		segura(seguratest.Gateway503(), -1), everyMinute(120, "0 disable 2, 1 disable 2, 2 disable 1"),
		extend("b", 14400), open("d", 3600, 3), closes("d"), is("d", "closing: 3 pending"), is("a", "closing: 0 enabled, 1 enabled"),
		up, reconciled, active(1), move(90), reconciled,
		is("a", "closed: 0 disabled, 1 kept"), is("b", "open: 1 enabled"), is("c", "closed: 2 disabled"), is("d", "closed: 3 disabled"), active(1),
	)},
	{"Segura takes no connections", steps(
		open("a", 60, 0), segura(seguratest.ResetConnection(), -1), open("b", 60, 1), is("b", "open: 1 pending"), move(60),
		reconciled, is("a", "closing: 0 enabled"), up, reconciled, active(), move(180), settled, is("b", "closed: 1 disabled"),
	)},
	{"a disabling lands after a later window's enabling", steps(
		open("a", 60, 0), move(60), segura(seguratest.CloseConnection(), 1), reconciled, up, open("b", 3600, 0), is("b", "open: 0 pending"),
		lands(0, false), reconciled, active(0), lands(0, false), is("b", "open: 0 pending"),
		move(90), reconciled, is("b", "open: 0 enabled"), is("a", "closed: 0 kept"), active(0),
	)},
	{"an enabling lands after its window's end", steps(
		segura(seguratest.CloseConnection(), 1), open("a", 60, 0), up, move(60), reconciled, is("a", "closing: 0 disabled"),
		lands(0, true), reconcile("open 0, enabled 0, disabled 1, failed 0, overdue 0"), move(90), settled, is("a", "closed: 0 disabled"), active(),
	)},
	{"the allow-list is narrowed while windows are open", steps(
		open("a", 60, 0, 1), segura(seguratest.Gateway429(), 1), open("b", 120, 2), up,
		on(narrowed, reconciled), is("b", "open: 2 pending not_allowed"), on(narrowed, extend("a", 60)), is("a", "open: 0 enabled, 1 enabled"),
		move(120), on(narrowed, reconcile("open 0, enabled 0, disabled 3, failed 0, overdue 0")), is("a", "closed: 0 disabled, 1 disabled"), active(),
	)},
	{"the table is throttled from any moment of a reconcile on", steps(atEach(func(n int) step {
		return table(func(at int) dynamodb.Fault {
			if at >= n {
				return dynamodb.Throttled
			}
			return dynamodb.None
		})
	}))},
	{"any write is lost, or its confirmation", steps(
		atEach(func(n int) step { return table(once(n, dynamodb.Refused)) }),
		atEach(func(n int) step { return table(once(n, dynamodb.Unheard)) }),
	)},
	{"the function is killed at any request to the table", steps(atEach(killed))},
	{"1,000 windows end in the same minute", steps(
		openMany(1000), move(3600), reconcile("open 0, enabled 0, disabled 1000, failed 0, overdue 0"), active(),
	)},
}

// copies of the function: the last has a narrower allow-list than the others.
const (
	copies    = 6
	narrowed  = copies - 1
	repeating = copies - 2 // what the table answers to with a fault is asked for again
	row       = 2000       // identifiers of one row; those of the steps count from its first
)

// scene is a row that is played.
type scene struct {
	*stage.Stack
	t     *testing.T
	cast  []*player
	at    int   // which of them acts
	first int64 // identifier of the row
	table *windowtable.Table
	alone bool // nothing else happens at the same time

	mu  *sync.Mutex
	ids map[string]string // of windows, by their names
}

// player is a copy of the function.
type player struct {
	*runtimeapi.Function
	clock stage.Clock
}

type step func(*scene)

func steps(all ...step) []step { return all }

func TestWindows(t *testing.T) {
	scratch := t.TempDir()
	overlay, err := stage.ClockOverlay(t.Context(), scratch, stage.Window)
	if err != nil {
		t.Fatal(err)
	}
	built, err := stage.Build(t.Context(), scratch, stage.BuildOptions{Overlay: overlay}, stage.Window)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stage.Start(t.Context(), stage.Options{Functions: []string{}, Bootstraps: built, Segura: seguratest.Options{AnyIdentifier: true, TokenLifetime: 48 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	table := windowtest.Connect(t, s.Tables)
	cast := make([]*player, copies)
	for at := range cast {
		cast[at] = startPlayer(t, s, at, filepath.Join(scratch, fmt.Sprint("clock", at)))
	}
	for at, fault := range rows {
		t.Run(fault.name, func(t *testing.T) {
			sc := &scene{Stack: s, t: t, cast: cast, first: int64(row * (at + 1)), table: table, alone: true, mu: &sync.Mutex{}, ids: map[string]string{}}
			sc.play(fault.steps)
			sc.play(steps(up, move(24*60*60), settled, active()))
		})
	}
}

func startPlayer(t *testing.T, s *stage.Stack, at int, clock string) *player {
	t.Helper()
	p := &player{}
	p.clock.File = clock
	env := map[string]string{
		"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_MAX_CONCURRENCY": "32", "AWS_MAX_ATTEMPTS": "1",
		"SEGURA_ALLOWED_IDENTIFIERS": "",
	}
	switch at {
	case narrowed:
		env["SEGURA_ALLOWED_IDENTIFIERS"] = "1"
	case repeating:
		env["AWS_MAX_ATTEMPTS"] = "3"
	}
	maps.Copy(env, p.clock.Env())
	var err error
	if p.Function, err = s.StartFunction(t.Context(), stage.Window, runtimeapi.Options{Env: env}); err != nil {
		t.Fatal(err)
	}
	return p
}

// as returns the scene with another copy acting.
func (s *scene) as(at int) *scene {
	c := *s
	c.at = at
	return &c
}

func (s *scene) play(all []step) {
	for _, one := range all {
		one(s)
		if s.alone && !s.t.Failed() {
			s.judge()
		}
	}
}

func (s *scene) id(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[name]
}

func (s *scene) now() window.Instant { return window.At(s.cast[s.at].clock.Now()) }

// judge holds that nothing is disabled that a live window has enabled.
func (s *scene) judge() {
	s.t.Helper()
	live, err := s.table.Live(s.t.Context())
	if err != nil {
		return // as it is told to
	}
	for _, w := range live {
		for _, l := range w.Leases {
			if !w.Over && l.State == window.Enabled && !s.Segura.Active(int64(l.Identifier)) {
				s.t.Errorf("%d is disabled, and window %s holds it", l.Identifier, w.ID)
			}
		}
	}
}

// judgeReport holds that nothing is enabled past its end that the reconcile did not count.
func (s *scene) judgeReport(report shown) {
	s.t.Helper()
	live, err := s.table.Live(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	held := map[int64]bool{}
	for _, w := range live {
		for _, l := range w.Leases {
			if !w.Over && s.now() < w.Until {
				held[int64(l.Identifier)] = true
			}
		}
	}
	late := 0
	for _, i := range s.active() {
		if !held[s.first+i] {
			late++
		}
	}
	if late > report.Overdue || !strings.Contains(strings.Join(report.logs, "\n"), fmt.Sprintf(`"WindowsOverdue":%d`, report.Overdue)) {
		s.t.Errorf("%d are enabled past their end, and the reconcile counts %d: %s", late, report.Overdue, report.logs)
	}
}

// active are the row's API secrets that are active, counted from its first.
func (s *scene) active() []int64 {
	list := []int64{}
	for i, state := range s.Segura.States() {
		if state.Active && i >= s.first && i < s.first+row {
			list = append(list, i-s.first)
		}
	}
	slices.Sort(list)
	return list
}

// identifiers returns the row's, as JSON.
func (s *scene) identifiers(list []int64) string {
	own := slices.Clone(list)
	for at := range own {
		own[at] += s.first
	}
	text, _ := json.Marshal(own)
	return string(text)
}

// on has the steps done by another copy.
func on(copy int, all ...step) step {
	return func(s *scene) { s.as(copy).play(all) }
}

// together does the steps at once, several times.
func together(times int, all ...step) step {
	return func(s *scene) {
		for range times {
			var group sync.WaitGroup
			for _, one := range all {
				c := *s
				c.alone = false
				group.Go(func() { one(&c) })
			}
			group.Wait()
			s.judge()
		}
	}
}

// open opens a window; what the table refuses meanwhile is tried again by nobody.
func open(name string, seconds int, identifiers ...int64) step {
	return func(s *scene) {
		w := s.event(fmt.Sprintf(`{"window":{"identifiers":%s,"for":"PT%dS"}}`, s.identifiers(identifiers), seconds))
		if w.ID == "" {
			s.t.Errorf("open %s: %s %s", name, w.errorType, w.Code)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ids[name] = w.ID
	}
}

func extend(name string, seconds int) step {
	return func(s *scene) {
		if id := s.id(name); id != "" {
			s.event(fmt.Sprintf(`{"extend":{"id":%q,"by":"PT%dS"}}`, id, seconds))
		}
	}
}

func closes(name string) step {
	return func(s *scene) { s.event(fmt.Sprintf(`{"close":{"id":%q}}`, s.id(name))) }
}

// openMany writes open windows of one API secret each, as if they had been opened.
func openMany(n int) step {
	return func(s *scene) {
		s.Tables.SetPage(n)
		for at := range n {
			i := s.first + int64(at)
			w := window.Opened(window.NewID(time.Now()), s.now()-60, s.now()+3000, []apisecret.Identifier{apisecret.Identifier(i)})
			w.Begun = true
			w.Leases[0].State, w.Leases[0].Begun, w.Leases[0].Landed = window.Enabled, true, true
			s.Segura.SetActive(i, true)
			if err := s.table.Write(s.t.Context(), w, nil, nil); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// move moves all clocks, and skew one of them for the rest of the row.
func move(seconds int) step {
	return func(s *scene) {
		for _, p := range s.cast {
			if err := p.clock.Move(s.t.Context(), time.Duration(seconds)*time.Second); err != nil {
				s.t.Error(err)
			}
		}
	}
}

func skew(copy, seconds int) step {
	return func(s *scene) {
		p, by := s.cast[copy], time.Duration(seconds)*time.Second
		_ = p.clock.Move(s.t.Context(), by)
		s.t.Cleanup(func() { _ = p.clock.Move(context.Background(), -by) })
	}
}

// reconciled reconciles, and reconcile also says what is to be reported.
func reconciled(s *scene) { s.reconcile() }

func reconcile(want string) step {
	return func(s *scene) {
		r := s.reconcile()
		s.require("report", fmt.Sprintf("open %d, enabled %d, disabled %d, failed %d, overdue %d", r.Open, r.Enabled, r.Disabled, r.Failed, r.Overdue), want)
	}
}

func (s *scene) reconcile() shown {
	s.t.Helper()
	r := s.event(`{"reconcile":true}`)
	s.judgeReconcile(r)
	return r
}

// judgeReconcile holds that a reconcile is counted if it succeeded, and counts what is late.
func (s *scene) judgeReconcile(r shown) {
	s.t.Helper()
	counted := strings.Contains(strings.Join(r.logs, "\n"), `"Reconciled":1`)
	if counted != (r.errorType == "") {
		s.t.Errorf("a reconcile that ended with %q is counted: %t", r.errorType, counted)
	}
	if s.alone && counted {
		s.judgeReport(r)
	}
}

// settled reconciles every minute until nothing may land any more, and holds that nothing
// is left to be done.
func settled(s *scene) {
	for range 4 {
		s.reconcile()
		move(60)(s)
	}
	s.reconcile()
	live, err := s.table.Live(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, w := range live {
		if w.Over {
			s.t.Errorf("still closing: %+v", w)
		}
	}
}

// everyMinute reconciles so many times, and says how often the audit log is to tell of what.
func everyMinute(times int, audit string) step {
	return func(s *scene) {
		told := map[string]int{}
		for range times {
			move(60)(s)
			for _, line := range s.reconcile().logs {
				var l struct {
					Message, Action string
					Identifier      int64
				}
				if json.Unmarshal([]byte(line), &l) == nil && l.Message == "audit" {
					told[fmt.Sprint(l.Identifier-s.first, " ", l.Action)]++
				}
			}
		}
		var got []string
		for _, what := range slices.Sorted(maps.Keys(told)) {
			got = append(got, fmt.Sprint(what, " ", told[what]))
		}
		s.require("audit lines", strings.Join(got, ", "), audit)
	}
}

// segura has the next calls to Segura fail; up ends all faults.
func segura(fault seguratest.Fault, times int) step {
	return func(s *scene) {
		s.Segura.Fail(seguratest.Match{When: func(r seguratest.Request) bool { return r.Identifier != 0 }}, fault, times)
	}
}

func up(s *scene) {
	s.Segura.ClearFaults()
	s.Tables.FailWith(nil)
}

// lands is an earlier call that has its effect only now.
func lands(identifier int64, active bool) step {
	return func(s *scene) { s.Segura.SetActive(s.first+identifier, active) }
}

// table has the requests to the table fail, by their numbers from now on.
func table(fault func(at int) dynamodb.Fault) step {
	return func(s *scene) {
		at := 0
		s.Tables.FailWith(func(string) dynamodb.Fault {
			at++
			return fault(at)
		})
	}
}

func once(n int, fault dynamodb.Fault) func(int) dynamodb.Fault {
	return func(at int) dynamodb.Fault {
		if at == n {
			return fault
		}
		return dynamodb.None
	}
}

// killed kills the function at its nth request to the table.
func killed(n int) step {
	return func(s *scene) {
		p := s.cast[s.at]
		table(func(at int) dynamodb.Fault {
			if at == n {
				_ = p.Signal(syscall.SIGKILL)
			}
			return dynamodb.None
		})(s)
	}
}

// atEach has a window end beside one that goes on, with the fault at the first, the second,
// … request to the table of the reconcile that ends it, up to its last.
func atEach(fault func(n int) step) step {
	return func(s *scene) {
		for n, more := 1, true; more && !s.t.Failed(); n++ {
			s.play(steps(
				open("a", 60, 0, 1), open("b", 600, 1), move(60),
				func(s *scene) {
					fault(n)(s) // here: between steps, the judge asks the table too
					before := len(s.Tables.Requests())
					r := s.event(`{"reconcile":true}`)
					more = len(s.Tables.Requests())-before >= n
					up(s)
					s.judgeReconcile(r)
				},
				move(90), reconciled, is("a", "closed: 0 disabled, 1 kept"), active(1), closes("b"), active(),
			))
			if s.t.Failed() {
				s.t.Logf("with the fault at request %d", n)
			}
		}
	}
}

// losesTheLock takes the reconcilers' lock away.
func losesTheLock(s *scene) {
	for range 15 {
		_, _ = s.table.Lock(s.t.Context(), "a thief", s.now()+24*60*60, 0)
	}
}

func is(name, want string) step {
	return func(s *scene) {
		w := s.call("GET", "/windows/"+s.id(name), "")
		var texts []string
		for _, i := range w.Identifiers {
			text := fmt.Sprint(i.Identifier-s.first, " ", i.State)
			if i.Error != nil && strings.Contains(want, i.Error.Code) {
				text += " " + i.Error.Code
			}
			texts = append(texts, text)
		}
		s.require(name, w.State+": "+strings.Join(texts, ", "), want)
	}
}

// active says which of the row's API secrets are active.
func active(want ...int64) step {
	return func(s *scene) { s.require("active", s.active(), append([]int64{}, want...)) }
}
