package acceptance

import (
	"slices"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// breaks are replies that do not come, or not whole.
func breaks() []reading {
	return []reading{
		{"half of a reply", seguratest.CutShort(), "upstream_invalid_response", true, 0, 0},
		{"a reply whose last bytes are missing", seguratest.CutAfterJSON(), "upstream_invalid_response", true, 0, 0},
		{"a reply whose stream breaks off", seguratest.CutChunked(), "upstream_invalid_response", true, 0, 0},
		{"half of the JSON in a whole reply", seguratest.CutJSON(), "upstream_invalid_response", true, 0, 0},
		{"a reset in the middle of a reply", seguratest.ResetMidBody(), "upstream_invalid_response|upstream_unreachable", true, 0, 0},
		{"no reply in time", seguratest.Hang(), "upstream_timeout", true, 0, 0},
		{"half of a reply in time", seguratest.HangMidBody(), "upstream_timeout", true, 0, 0},
		{"a reply too slow", seguratest.SlowDrip(100 * time.Millisecond), "upstream_timeout", true, 0, 0},
		{"a reset instead of a reply", seguratest.ResetConnection(), "upstream_unreachable", true, 0, 0},
		{"the end of the connection instead of a reply", seguratest.CloseConnection(), "upstream_unreachable|upstream_invalid_response", true, 0, 0},
		{"the end of the stream instead of a reply", seguratest.ResetStream(), "upstream_unreachable|upstream_invalid_response", true, 0, 0},
	}
}

// eachBreak runs a test for each break, over both protocols: those that are told by
// the time they take in a process of their own, of whose attempts each may take as
// long as a slow machine needs for a good one; all others in one that waits longer
// than they ever take.
func eachBreak(t *testing.T, attempts string, test func(t *testing.T, w *world, rows []reading)) {
	t.Helper()
	for _, protocol := range []string{"HTTP/2", "HTTP/1.1"} {
		for _, limit := range []string{"10s", "3s"} {
			t.Run(protocol+", "+limit, func(t *testing.T) {
				t.Parallel()
				rows := slices.DeleteFunc(breaks(), func(row reading) bool { return (row.code == "upstream_timeout") != (limit == "3s") })
				test(t, start(t, setup{
					timeout: time.Minute,
					segura:  seguratest.Options{AnyIdentifier: true, TLS: seguratest.TLSOptions{HTTP1Only: protocol == "HTTP/1.1"}},
					env:     map[string]string{"SEGURA_MAX_ATTEMPTS": attempts, "SEGURA_ATTEMPT_TIMEOUT": limit},
				}), rows)
			})
		}
	}
}

func TestBrokenReplies_areTransientFaults(t *testing.T) {
	t.Parallel()
	eachBreak(t, "2", func(t *testing.T, w *world, rows []reading) {
		identifier := int64(1000)
		for _, action := range actions {
			for _, row := range rows {
				if action.name == "disable" && row.code == "upstream_timeout" {
					continue // it takes long
				}
				identifier++
				w.segura.SetActive(identifier, action.name == "disable")
				w.segura.Fail(seguratest.Match{Kind: action.kind, Identifier: identifier}, row.reply, 2)
				about := action.name + ": " + row.about
				got := w.invoke(list(action.name, identifier)).result.Results[0]
				if got.Error != nil {
					got.Error.HTTPStatus = 0 // whether half a reply has one is not told
				}
				row.compare(t, w, about, got, 2)

				w.segura.ClearFaults()
				w.segura.SetActive(identifier, action.name == "disable")
				again := w.invoke(list(action.name, identifier)).result.Results[0]
				is(t, again, about+", afterwards", action.outcome, "", false, 1)
			}
		}
	})
}

func TestBrokenReplies_areOvercomeByAnotherAttempt(t *testing.T) {
	t.Parallel()
	eachBreak(t, unset, func(t *testing.T, w *world, rows []reading) {
		identifier := int64(1000)
		for _, row := range rows {
			identifier += 2
			w.segura.Fail(seguratest.Match{Identifier: identifier}, row.reply, 1)
			want := "enabled"
			if row.reply.String() == seguratest.SlowDrip(0).String() {
				want = "already_enabled" // it does what was asked for before it answers
			}
			is(t, w.one(identifier), row.about, want, "", false, 2)

			// The change is made and its reply is lost: Segura says "already" then.
			w.segura.Fail(seguratest.Match{Identifier: identifier + 1}, row.reply.AfterApplying(), 1)
			is(t, w.one(identifier+1), row.about+", after applying", "already_enabled", "", false, 2)
		}
	})
}

func TestAbuse_endsAndIsNoSuccess(t *testing.T) {
	t.Parallel()
	table := []struct {
		about string
		reply seguratest.Fault
	}{
		{"a body without end", seguratest.GiantBody(-1)},
		{"a body of 64 MiB", seguratest.GiantBody(64)},
		{"a gzip bomb", seguratest.GzipBomb(512)},
		{"headers without end", seguratest.EndlessHeaders()},
		{"interim replies without end", seguratest.EndlessEarlyHints()},
		{"no HTTP", seguratest.NotHTTP()},
	}
	for _, protocol := range []string{"HTTP/2", "HTTP/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true, TLS: seguratest.TLSOptions{HTTP1Only: protocol == "HTTP/1.1"}},
				env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "2", "SEGURA_ATTEMPT_TIMEOUT": "5s"},
			})
			for i, row := range table {
				identifier := int64(1001 + i)
				w.segura.Fail(seguratest.Match{Identifier: identifier}, row.reply, -1)

				inv := w.enable(identifier)

				got := inv.result.Results[0]
				if got.Outcome != "failed" || got.Error == nil || got.Error.Code == "internal_error" {
					t.Errorf("%s: got %+v (%+v), want a failure of Segura's", row.about, got, got.Error)
				}
				if inv.Duration > 15*time.Second {
					t.Errorf("%s: took %v, want two attempts of 5 s at most", row.about, inv.Duration)
				}
				w.segura.ClearFaults()
				if got := w.one(identifier + 100); got.Outcome == "failed" {
					t.Errorf("%s, afterwards: got %+v (%+v)", row.about, got, got.Error)
				}
			}
			if got := w.function.MaxRSS() >> 20; got >= 80 {
				t.Errorf("got %d MiB of memory, want under 80", got)
			}
		})
	}
}

func TestGoAway_isNoFault(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	for i, reply := range []seguratest.Fault{seguratest.GoAway(), seguratest.Drain()} {
		identifier := int64(1001 + i)
		w.segura.Fail(seguratest.Match{Identifier: identifier}, reply, 1)
		if got := w.one(identifier); got.Outcome != "enabled" {
			t.Errorf("%v: got %+v (%+v), want enabled", reply, got, got.Error)
		}
	}
}

// A gateway that has lost count answers one request twice. What nobody asked for
// must not become the next identifier's reply.
func TestReply_thatNobodyAskedForIsNobodys(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []string{"1", "8"} {
		t.Run("concurrency "+concurrency, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true, TLS: seguratest.TLSOptions{HTTP1Only: true}},
				env:    map[string]string{"SEGURA_MAX_CONCURRENCY": concurrency},
			})
			asked := upTo(1001, 1080)
			for _, identifier := range asked {
				if identifier%2 == 1 {
					w.segura.Fail(seguratest.Match{Identifier: identifier}, seguratest.TwoReplies(), -1)
				}
			}

			inv := w.enable(asked...)

			for _, l := range pick(parse(t, inv.Logs), stage.Line.IsAudit) {
				n, _ := l.Number("identifier")
				identifier := int64(n)
				enabled := l.Text("outcome") == "enabled"
				if enabled != w.segura.Active(identifier) || enabled && identifier%2 == 1 {
					t.Errorf("%d: got %s %s, and Segura has active = %v", identifier, l.Text("outcome"), l.Text("code"), w.segura.Active(identifier))
				}
			}
		})
	}
}
