package seguratest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

var enableCalls = seguratest.Match{Kind: seguratest.KindEnable}

// What the client makes of most replies shows whether they are the right ones; here
// are those that it takes for others.
func TestFail_answersWithTheReplyAskedFor(t *testing.T) {
	for _, row := range []struct {
		fault  seguratest.Fault
		status int
		body   string // a part of it
	}{
		{seguratest.NotFound1005(), 400, `"exception":{"code":1005,"message":"1005: Api secret not found","detail":null}`},
		{seguratest.NotFound1005WithoutException(), 400, `"mensagem":"1005: Api secret not found","erro":true,"cod_erro":0}}`},
		{seguratest.AccessDenied1006WithoutException(), 400, `"mensagem":"1006: User does not have access","erro":true,"cod_erro":0}}`},
		{seguratest.PortugueseException500(), 500, `"exception":{"code":400,"message":"Não foi possível processar a requisição","detail":null}`},
		{seguratest.NotAuthorized(418), 418, `"status":418,"message":"You are not authorized to access this resource"`},
		{seguratest.Envelope(200, 500, "Unexpected error."), 200, `{"code":500,"response":{"status":500,"message":"Unexpected error.","error":true`},
		{seguratest.PasswordActivated(), 200, `"message":"Password successfully activated","error":false`},
		{seguratest.TokenRefused(seguratest.RefusedInactiveAs200), 200, `"status":401,"message":"Inactive authorization","error":true`},
		{seguratest.HTML(503), 503, "<title>503 Service Unavailable</title>"},
		{seguratest.Binary(), 200, "\x00\xff\xfe"},
		{seguratest.Empty(204), 204, ""},
		{seguratest.CutJSON(), 200, `{"code":200,"response":{"status":200,"message":"Api secret`},
	} {
		segura, c := start(t, seguratest.Options{})
		segura.Fail(enableCalls, row.fault, 1)

		wantAnswer(t, row.fault.String(), c.enables(5), row.status, row.body)
		wantAnswer(t, row.fault.String()+", afterwards", c.enables(5), 200, "Api secret activated successfully") // the fault changed nothing
		if got := segura.Requests(seguratest.KindEnable)[0]; got.Fault != row.fault.String() || got.Status != row.status {
			t.Errorf("record: got fault %q and status %d, want %q and %d", got.Fault, got.Status, row.fault, row.status)
		}
	}
}

func TestFail_breaksTheConversation(t *testing.T) {
	for _, row := range []struct {
		fault    seguratest.Fault
		want     string // in the error
		noStatus bool   // nothing was answered
	}{
		{seguratest.Hang(), "Client.Timeout", true},
		{seguratest.HangMidBody(), "Client.Timeout", false},
		{seguratest.SlowDrip(50 * time.Millisecond), "Client.Timeout", false},
		{seguratest.ResetConnection(), "connection reset", true},
		{seguratest.ResetMidBody(), "connection reset", false},
		{seguratest.CloseConnection(), "EOF", true},
		{seguratest.CutShort(), "unexpected EOF", false},
		{seguratest.CutAfterJSON(), "unexpected EOF", false},
		{seguratest.CutChunked(), "unexpected EOF", false},
		{seguratest.EndlessHeaders(), "exceeded", true},
		{seguratest.EndlessEarlyHints(), "exceeded", true},
		{seguratest.NotHTTP(), "malformed HTTP", true},
	} {
		t.Run(row.fault.String(), func(t *testing.T) {
			t.Parallel()
			segura, c := start(t, seguratest.Options{})
			segura.Fail(enableCalls, row.fault, 1)
			if row.want == "Client.Timeout" {
				c.Timeout = 3 * time.Second
			}

			_, err := c.tries("POST", enablePath(5), "")

			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error: got %v, want %q in it", err, row.want)
			}
			if got := segura.Requests(seguratest.KindEnable)[0]; got.Fault != row.fault.String() || (got.Status == 0) != row.noStatus {
				t.Errorf("record: got fault %q, status %d", got.Fault, got.Status)
			}
			c.Timeout = time.Minute
			c.enables(5)
		})
	}
}

func TestAfterApplying_makesTheChangeAndLosesTheReply(t *testing.T) {
	for _, fault := range []seguratest.Fault{seguratest.Gateway502(), seguratest.ResetConnection(), seguratest.CutChunked(), seguratest.CutJSON()} {
		segura, c := start(t, seguratest.Options{})
		segura.Fail(enableCalls, fault.AfterApplying(), 1)

		lost, err := c.tries("POST", enablePath(5), "")

		if err == nil && lost.StatusCode == 200 && json.Valid([]byte(lost.body)) || !segura.Active(5) {
			t.Errorf("%v: got %q (%v), active %t, want the reply lost and the change made", fault, lost.body, err, segura.Active(5))
		}
		wantAnswer(t, fault.String(), c.enables(5), 200, "Api secret has already been activated")
	}
}

func TestFail_matchesByKindIdentifierAndPredicateInSequence(t *testing.T) {
	segura, c := start(t, seguratest.Options{})
	segura.Fail(seguratest.Match{Kind: seguratest.KindOther}, seguratest.Gateway500(), -1)
	segura.Fail(seguratest.Match{Identifier: 5}, seguratest.Normally(), 1)
	segura.Fail(seguratest.Match{Identifier: 5}, seguratest.Gateway502(), 2)
	segura.Fail(seguratest.Match{When: func(r seguratest.Request) bool { return r.Header.Get("X-Fail") != "" }}, seguratest.Gateway503(), 1)

	var got []int
	for range 4 {
		got = append(got, c.enables(5).StatusCode)
	}
	got = append(got, c.enables(6).StatusCode, segura.FaultsLeft(), c.calls("POST", enablePath(6), "", "X-Fail", "1").StatusCode, segura.FaultsLeft())
	for range 3 {
		got = append(got, c.calls("GET", "/x", "").StatusCode)
	}
	for _, forget := range []func(){segura.ClearFaults, segura.Reset} {
		segura.Fail(seguratest.Match{}, seguratest.Gateway500(), -1)
		forget()
		got = append(got, c.calls("GET", "/x", "").StatusCode)
	}

	if want := []int{200, 502, 502, 200, 200, 1, 503, 0, 500, 500, 500, 404, 404}; !slices.Equal(got, want) {
		t.Errorf("statuses and faults left: got %v, want %v", got, want)
	}
}

func TestUntil_holdsCalls(t *testing.T) {
	segura, c := start(t, seguratest.Options{})
	release := make(chan struct{})
	segura.Fail(enableCalls, seguratest.Normally().Until(release), -1)
	var group sync.WaitGroup
	for i := range int64(5) {
		group.Go(func() { c.enables(100 + i) })
	}
	if err := segura.Await(t.Context(), seguratest.KindEnable, 5); err != nil {
		t.Fatal(err)
	}

	time.Sleep(20 * time.Millisecond) // in which they would be answered
	held := segura.Active(100)
	close(release)
	group.Wait()

	if got := segura.Peak(seguratest.KindEnable); held || !segura.Active(100) || got != 5 {
		t.Errorf("got active while held %t, afterwards %t, and %d calls at once, want false, true and 5", held, segura.Active(100), got)
	}
}

func TestRefuseConnections_refusesInEachWayAndOpensTheSamePortAgain(t *testing.T) {
	for how, want := range map[seguratest.Refused]func(error) bool{
		seguratest.NotListening:   func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) },
		seguratest.ResetOnAccept:  func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) },
		seguratest.SilentOnAccept: func(err error) bool { return strings.Contains(err.Error(), "Client.Timeout") },
		seguratest.PlainOnAccept:  func(err error) bool { return strings.Contains(err.Error(), "HTTP response to HTTPS client") },
	} {
		segura, c := start(t, seguratest.Options{})
		if err := segura.RefuseConnections(how); err != nil {
			t.Fatal(err)
		}
		if how == seguratest.SilentOnAccept {
			c.Timeout = 200 * time.Millisecond
		}
		c.CloseIdleConnections() // the transport may not have seen the reset yet

		_, refused := c.tries("POST", enablePath(5), "")
		if err := segura.AcceptConnections(); err != nil {
			t.Fatal(err)
		}
		c.Timeout = time.Minute

		if refused == nil || !want(refused) {
			t.Errorf("refused in way %d: got error %v", how, refused)
		}
		wantAnswer(t, "accepted again", c.enables(5), 200, "activated")
		if got := segura.Count(seguratest.KindEnable); got != 1 {
			t.Errorf("refused in way %d: got %d calls, want the second alone", how, got)
		}
	}
}

func TestConnections_canBeEnded(t *testing.T) {
	for what, end := range map[string]func(*seguratest.Server, *caller){
		"dropped": func(s *seguratest.Server, _ *caller) { s.DropConnections() },
		"drained": func(s *seguratest.Server, c *caller) { s.Fail(enableCalls, seguratest.Drain(), 1); c.enables(5) },
	} {
		segura, c := start(t, seguratest.Options{})

		end(segura, c)

		for began := time.Now(); segura.Count(seguratest.KindDisable) == 0; time.Sleep(time.Millisecond) { // the transport sees a drop after a while
			if _, err := c.tries("POST", "/api/mysafe/secretapi/inactive/6", ""); err != nil && time.Since(began) > 20*time.Second {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if got := segura.Connections(); got != 2 {
			t.Errorf("%s: got %d connections, want a second one", what, got)
		}
	}
}

func TestClose_endsHangingClientsAndLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	segura, c := start(t, seguratest.Options{})
	for i, fault := range []seguratest.Fault{seguratest.Hang(), seguratest.SlowDrip(time.Second), seguratest.GiantBody(-1), seguratest.Normally().After(time.Hour)} {
		segura.Fail(seguratest.Match{Identifier: int64(i + 1)}, fault, -1)
	}
	var group sync.WaitGroup
	c.Timeout = 0
	for i := range int64(8) {
		group.Go(func() { _, _ = c.tries("POST", enablePath(i%4+1), "") })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := segura.Await(ctx, seguratest.KindEnable, 8); err != nil {
		t.Fatalf("await 8 calls: %v after %d", err, segura.Count(""))
	}

	segura.Close()
	segura.Close()

	group.Wait() // nothing but the end of the server ends them
	c.CloseIdleConnections()
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines: got %d, want %d\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
	if _, err := c.tries("HEAD", "", ""); err == nil {
		t.Error("the server still answers after Close")
	}
}
