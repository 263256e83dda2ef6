package seguratest_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

// everything is for all requests.
var everything = seguratest.Match{}

func TestFail_answersWithTheReplyAskedFor(t *testing.T) {
	for _, row := range []struct {
		fault  seguratest.Fault
		status int
		body   string // a part of it
	}{
		{seguratest.Gateway500(), 500, "An unexpected error occurred"},
		{seguratest.Gateway502(), 502, "An invalid response was received from the upstream server"},
		{seguratest.Gateway503(), 503, "failure to get a peer from the ring-balancer"},
		{seguratest.Gateway504(), 504, "The upstream server is timing out"},
		{seguratest.Gateway429(), 429, "API rate limit exceeded"},
		{seguratest.GatewayNoRoute404(), 404, "no Route matched with those values"},
		{seguratest.GatewayForbiddenIP403(), 403, "IP address not allowed"},
		{seguratest.NotFound1005(), 400, `"exception":{"code":1005,"message":"1005: Api secret not found","detail":null}`},
		{seguratest.NotFound1005WithoutException(), 400, `"mensagem":"1005: Api secret not found","erro":true,"cod_erro":0}}`},
		{seguratest.AccessDenied1006(), 400, `"exception":{"code":1006,"message":"1006: User does not have access","detail":null}`},
		{seguratest.AccessDenied1006WithoutException(), 400, `"mensagem":"1006: User does not have access","erro":true,"cod_erro":0}}`},
		{seguratest.Unexpected500(), 500, `"status":500,"message":"Unexpected error.","error":true`},
		{seguratest.PortugueseException500(), 500, `"exception":{"code":400,"message":"N\u00e3o foi poss\u00edvel processar a requisi\u00e7\u00e3o","detail":null}`},
		{seguratest.NotAuthorized(418), 418, `"status":418,"message":"You are not authorized to access this resource"`},
		{seguratest.Envelope(200, 500, "Unexpected error."), 200, `{"code":500,"response":{"status":500,"message":"Unexpected error.","error":true`},
		{seguratest.PasswordActivated(), 200, `"message":"Password successfully activated","error":false`},
		{seguratest.InvalidClient401(), 401, `"error":"invalid_client"`},
		{seguratest.ReplyJSON(201, `{"a":1}`), 201, `{"a":1}`},
		{seguratest.HTML(503), 503, "<title>503 Service Unavailable</title>"},
		{seguratest.Binary(), 200, "\x00\xff\xfe"},
		{seguratest.Empty(200), 200, ""},
		{seguratest.Empty(204), 204, ""},
		{seguratest.CutJSON(), 200, `{"code":200,"response":{"status":200,"message":"Api secret`},
		{seguratest.EnvelopeException(400, 400, `a"b/ü😀`, 9, ""), 400, `"message":"a\"b\/\u00fc\ud83d\ude00"`},
	} {
		t.Run(row.fault.String(), func(t *testing.T) {
			segura := start(t, seguratest.Options{})
			c := newCaller(t, segura).hasToken()
			segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, row.fault, 1)

			first, second := c.enables(5), c.enables(5)

			wantHolds(t, first, row.status, row.body)
			wantHolds(t, second, 200, "Api secret activated successfully") // the fault changed nothing
			if got := segura.Requests(seguratest.KindEnable)[0]; got.Fault != row.fault.String() || got.Status != row.status {
				t.Errorf("record: got fault %q and status %d, want %q and %d", got.Fault, got.Status, row.fault, row.status)
			}
		})
	}
}

func TestWithHeader_setsAndRemovesHeaders(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura)
	plain := seguratest.Gateway429()
	segura.Fail(everything, plain.WithHeader("Retry-After", "2").WithHeader("X-Kong-Request-Id", ""), 1)
	segura.Fail(everything, plain, 1)
	segura.Fail(everything, seguratest.Redirect(302, "https://example.com/"), 1)

	changed, unchanged, redirect := c.enables(5), c.enables(5), c.enables(5)

	if changed.header.Get("Retry-After") != "2" || changed.header.Get("X-Kong-Request-Id") != "" {
		t.Errorf("changed headers: got %v", changed.header)
	}
	if unchanged.header.Get("Retry-After") != "" || unchanged.header.Get("X-Kong-Request-Id") == "" {
		t.Errorf("unchanged headers: got %v", unchanged.header)
	}
	wantStatus(t, redirect, 302)
	if got := redirect.header.Get("Location"); got != "https://example.com/" {
		t.Errorf("Location: got %q", got)
	}
}

func TestFail_breaksTheConversation(t *testing.T) {
	for _, row := range []struct {
		fault      seguratest.Fault
		want       string // in the error
		noStatus   bool   // nothing was answered
		giveUpSoon bool
	}{
		{fault: seguratest.Hang(), want: "Client.Timeout", noStatus: true, giveUpSoon: true},
		{fault: seguratest.HangMidBody(), want: "Client.Timeout", giveUpSoon: true},
		{fault: seguratest.SlowDrip(50 * time.Millisecond), want: "Client.Timeout", giveUpSoon: true},
		{fault: seguratest.ResetConnection(), want: "connection reset", noStatus: true},
		{fault: seguratest.ResetMidBody(), want: "connection reset"},
		{fault: seguratest.CloseConnection(), want: "EOF", noStatus: true},
		{fault: seguratest.CutShort(), want: "unexpected EOF"},
		{fault: seguratest.CutAfterJSON(), want: "unexpected EOF"},
		{fault: seguratest.CutChunked(), want: "unexpected EOF"},
		{fault: seguratest.EndlessHeaders(), want: "exceeded", noStatus: true},
		{fault: seguratest.EndlessEarlyHints(), want: "exceeded", noStatus: true},
		{fault: seguratest.NotHTTP(), want: "malformed HTTP", noStatus: true},
	} {
		t.Run(row.fault.String(), func(t *testing.T) {
			t.Parallel()
			segura := start(t, seguratest.Options{})
			c := newCaller(t, segura).hasToken()
			segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, row.fault, 1)
			if row.giveUpSoon {
				c.http.Timeout = 3 * time.Second
			}

			_, err := c.tries("secretapi/active", 5)

			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error: got %v, want %q in it", err, row.want)
			}
			got := segura.Requests(seguratest.KindEnable)[0]
			if got.Fault != row.fault.String() || (got.Status == 0) != row.noStatus {
				t.Errorf("record: got fault %q, status %d", got.Fault, got.Status)
			}
			c.http.Timeout = time.Minute
			if _, err := c.tries("secretapi/active", 5); err != nil {
				t.Errorf("afterwards: got error %v, want none", err)
			}
		})
	}
}

func TestDrain_answersAndEndsTheConnection(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()
	segura.Fail(seguratest.Match{Identifier: 5}, seguratest.Drain(), 1)

	wantHolds(t, c.enables(5), 200, "activated successfully")
	wantHolds(t, c.enables(5), 200, "already been activated")

	list := segura.Requests(seguratest.KindEnable)
	if list[0].Connection == list[1].Connection {
		t.Errorf("connection: still %d after the drain", list[0].Connection)
	}
}

func TestAfterApplying_makesTheChangeAndLosesTheReply(t *testing.T) {
	for _, fault := range []seguratest.Fault{
		seguratest.Gateway502(), seguratest.Gateway504(), seguratest.ResetConnection(), seguratest.CutChunked(), seguratest.CutJSON(),
	} {
		segura := start(t, seguratest.Options{})
		c := newCaller(t, segura).hasToken()
		segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, fault.AfterApplying(), 1)

		lost, err := c.tries("secretapi/active", 5)
		active := segura.Active(5)
		again := c.enables(5)

		if err == nil && lost.status == 200 && json.Valid([]byte(lost.body)) {
			t.Errorf("%v: got %q, want the reply lost", fault, lost.body)
		}
		if !active {
			t.Errorf("%v: the API secret was not enabled", fault)
		}
		wantHolds(t, again, 200, "Api secret has already been activated")
	}
}

func TestFail_matchesByKindIdentifierAndPredicateInSequence(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()
	segura.Fail(seguratest.Match{Kind: seguratest.KindDisable}, seguratest.Gateway500(), -1)
	segura.Fail(seguratest.Match{Identifier: 5}, seguratest.Normally(), 1)
	segura.Fail(seguratest.Match{Identifier: 5}, seguratest.Gateway502(), 2)
	segura.Fail(seguratest.Match{When: func(r seguratest.Request) bool { return r.Header.Get("X-Fail") != "" }}, seguratest.Gateway503(), 1)

	var got []int
	for range 4 {
		got = append(got, c.enables(5).status)
	}
	got = append(got, c.enables(6).status, c.enables(6, "X-Fail", "1").status)
	for range 3 {
		got = append(got, c.calls("secretapi/inactive", 5).status)
	}
	left := segura.FaultsLeft()
	segura.ClearFaults()
	got = append(got, c.calls("secretapi/inactive", 5).status)

	want := []int{200, 502, 502, 200, 200, 503, 500, 500, 500, 200}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("statuses: got %v, want %v", got, want)
		}
	}
	if left != 0 {
		t.Errorf("faults left: got %d, want 0", left)
	}
}

func TestUntil_holdsCallsAndSoShowsHowManyThereAreAtOnce(t *testing.T) {
	segura := start(t, seguratest.Options{AnyIdentifier: true})
	c := newCaller(t, segura).hasToken()
	release := make(chan struct{})
	segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Normally().Until(release), -1)

	var group sync.WaitGroup
	for i := range int64(5) {
		group.Go(func() { _, _ = c.tries("secretapi/active", 200+i) })
	}
	if err := segura.Await(t.Context(), seguratest.KindEnable, 5); err != nil {
		t.Fatal(err)
	}
	held := segura.Active(200)
	close(release)
	group.Wait()

	if held || !segura.Active(200) {
		t.Errorf("active while held and afterwards: got %t and %t", held, segura.Active(200))
	}
	if got := segura.Peak(seguratest.KindEnable); got != 5 {
		t.Errorf("calls at once: got %d, want 5", got)
	}
}

func TestRefuseConnections_refusesInEachWayAndOpensTheSamePortAgain(t *testing.T) {
	for how, want := range map[seguratest.Refused]func(error) bool{
		seguratest.NotListening:   func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) },
		seguratest.ResetOnAccept:  func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) },
		seguratest.SilentOnAccept: func(err error) bool { return strings.Contains(err.Error(), "Client.Timeout") },
		seguratest.PlainOnAccept:  func(err error) bool { return strings.Contains(err.Error(), "HTTP response to HTTPS client") },
	} {
		segura := start(t, seguratest.Options{})
		c := newCaller(t, segura).hasToken()
		address := segura.URL()
		if err := segura.RefuseConnections(how); err != nil {
			t.Fatal(err)
		}

		if how == seguratest.SilentOnAccept {
			c.http.Timeout = 200 * time.Millisecond
		}
		c.http.CloseIdleConnections() // the transport may not have seen the reset yet
		_, refused := c.tries("secretapi/active", 5)
		if err := segura.AcceptConnections(); err != nil {
			t.Fatal(err)
		}
		c.http.Timeout = time.Minute
		accepted := c.enables(5)

		if refused == nil || !want(refused) {
			t.Errorf("refused in way %d: got error %v", how, refused)
		}
		wantStatus(t, accepted, 200)
		if segura.URL() != address || segura.Count(seguratest.KindEnable) != 1 {
			t.Errorf("afterwards: got %s with %d calls, want %s with 1", segura.URL(), segura.Count(seguratest.KindEnable), address)
		}
	}
}

func TestDropConnections_resetsTheOpenOnes(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()

	segura.DropConnections()

	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if a, err := c.tries("secretapi/active", 5); err == nil {
			wantStatus(t, a, 200)
			break
		} else if time.Now().After(end) {
			t.Fatalf("after the drop: %v", err)
		}
	}
	if got := segura.Connections(); got != 2 {
		t.Errorf("connections: got %d, want 2", got)
	}
}
