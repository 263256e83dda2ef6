package chaos

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// request is one invocation to be made.
type request struct {
	payload     []byte
	action      string
	identifiers []int64 // in order, each once
	single      bool    // over HTTP: the answer is an item or a problem
	invalid     []int   // over HTTP: the statuses that may come; for an event, any element
	check       bool
	reason      string
	timeout     time.Duration
}

func (q request) kind() seguratest.Kind {
	if q.action == "disable" {
		return seguratest.KindDisable
	}
	return seguratest.KindEnable
}

func withTimeout(q request) runtimeapi.InvokeOption { return runtimeapi.WithTimeout(q.timeout) }

// grace is how long a process lives on behind a deadline. Lambda gives none; here,
// by how much an answer is late is held against how late the machine was.
const grace = 20 * time.Second

// timeLimit of an invocation: anywhere between a tenth of a second and some
// seconds.
func timeLimit(r *rand.Rand) time.Duration {
	return between(r, time.Duration(choose(r, 100, 800))*time.Millisecond, 4*time.Second).Round(time.Millisecond)
}

// draw makes a request at random; suits says which identifiers it may name.
func (w *world) draw(r *rand.Rand, limit time.Duration, action string, suits func(int64) bool) request {
	q := request{action: action, timeout: limit, reason: choose(r, "", "", "CHG0012345", "quotes \" and\nbreaks\u2028\x7f", strings.Repeat("ж", 256))}
	most := 200
	if w.config.door == api {
		most = 100
	}
	n := min(choose(r, 1, 1, 2, 5, 20, 60, 120, 200), most)
	for len(q.identifiers) < n {
		i := 1 + r.Int64N(universe+5)
		if r.IntN(200) == 0 {
			i = giant
		}
		if suits(i) && !slices.Contains(q.identifiers, i) {
			q.identifiers = append(q.identifiers, i)
		} else if r.IntN(1000) == 0 {
			break // there are not so many
		}
	}
	if len(q.identifiers) == 0 {
		q.identifiers = []int64{giant}
	}
	if w.config.door == api {
		w.overHTTP(r, &q)
	} else {
		w.asEvent(r, &q)
	}
	return q
}

// document is the request as JSON, with repeats and strings here and there.
func (q *request) document(r *rand.Rand, withAction bool) string {
	var b strings.Builder
	if q.single {
		fmt.Fprintf(&b, `{"identifier":%s`, spelled(r, q.identifiers[0]))
	} else {
		b.WriteString(`{"identifiers":[`)
		for at, i := range q.identifiers {
			if at > 0 {
				b.WriteByte(',')
			}
			b.WriteString(spelled(r, i))
			if r.IntN(20) == 0 && len(q.identifiers) < 90 {
				b.WriteString("," + spelled(r, q.identifiers[r.IntN(at+1)]))
			}
		}
		b.WriteByte(']')
	}
	if withAction && (q.action != "enable" || r.IntN(2) == 0) {
		b.WriteString(`,"action":` + quoted(q.action))
	}
	if q.reason != "" {
		b.WriteString(`,"reason":` + quoted(q.reason))
	}
	return b.String() + "}"
}

func spelled(r *rand.Rand, i int64) string {
	text := strconv.FormatInt(i, 10)
	if r.IntN(4) == 0 {
		return quoted(text)
	}
	return text
}

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// asEvent wraps the request for the event function; now and then it becomes one
// that cannot be understood, a self-check or a bare scheduled event.
func (w *world) asEvent(r *rand.Rand, q *request) {
	q.single = len(q.identifiers) == 1 && r.IntN(2) == 0
	switch r.IntN(16) {
	case 0:
		*q = request{timeout: q.timeout, invalid: []int{400}, payload: []byte(choose(r, "", "null", "[]", "{", `{"identifier":0}`,
			`{"identifier":05}`, `{"identifiers":[]}`, `{"identifiers":[5,5.0]}`, `{"identifier":5,"identifiers":[5]}`, `{"identifier":5,"Identifier":6}`,
			`{"identifier":5,"identifier":6}`, `{"identifier":"５"}`, `{"identifier":9223372036854775808}`, `{"identifier":5,"check":true}`,
			`{"identifier":5,"action":"delete"}`, `{"identifier":5,"unknown":1}`, `{"identifier":5} {}`, "{\"identifier\":5,\"reason\":\"\xff\"}",
			`{"identifiers":["../../password/active/5"]}`, `{"identifier":5,"reason":`+quoted(strings.Repeat("x", 257))+`}`))}
	case 1:
		*q = request{timeout: q.timeout, check: true, payload: []byte(`{"check":true}`)}
	case 2:
		if q.action == "enable" {
			*q = request{timeout: q.timeout, action: "enable", identifiers: w.config.defaults,
				payload: []byte(eventBridge("aws.scheduler", `"{}"`))}
			return
		}
		fallthrough
	case 3, 4, 5:
		q.payload = []byte(eventBridge("chaos.source", q.document(r, true)))
	default:
		q.payload = []byte(q.document(r, true))
	}
}

func eventBridge(source, detail string) string {
	return `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"Change Approved","source":` + quoted(source) +
		`,"account":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1","resources":[],"detail":` + detail + `}`
}

// overHTTP wraps the request for the API function.
func (w *world) overHTTP(r *rand.Rand, q *request) {
	method, path, body := "POST", "/api-secrets/"+q.action, ""
	contentType := choose(r, "application/json", "application/json; charset=utf-8", "")
	switch {
	case r.IntN(14) == 0:
		bad := []struct {
			method, path, body, contentType string
			status                          int
		}{
			{"GET", "/api-secrets/5/enable", "", "", 405},
			{"POST", "/api-secrets/5", "", "", 404},
			{"POST", "/api-secrets/5/../6/enable", "", "", 404},
			{"POST", "/api-secrets/05/enable", "", "", 400},
			{"POST", "/api-secrets/5%2f6/enable", "", "", 400},
			{"POST", "/api-secrets/enable", "", "", 400},
			{"POST", "/api-secrets/enable", "{", "application/json", 400},
			{"POST", "/api-secrets/enable", `{"identifier":5,"action":"enable"}`, "application/json", 400},
			{"POST", "/api-secrets/5/enable", `{"identifier":6}`, "application/json", 400},
			{"POST", "/api-secrets/enable", `{"identifiers":[` + strings.Repeat("1,", 100) + `2]}`, "application/json", 400},
			{"POST", "/api-secrets/enable", `{"identifier":5}`, "text/plain", 415},
			{"POST", "/api-secrets/enable", `{"identifier":5,"reason":"` + strings.Repeat("x", 64<<10) + `"}`, "application/json", 413},
		}
		one := bad[r.IntN(len(bad))]
		*q = request{timeout: q.timeout, invalid: []int{one.status}}
		method, path, body, contentType = one.method, one.path, one.body, one.contentType
	case len(q.identifiers) == 1 && r.IntN(3) > 0:
		q.single = true
		path = fmt.Sprintf("/api-secrets/%d/%s", q.identifiers[0], q.action)
		if q.reason != "" {
			body = `{"reason":` + quoted(q.reason) + `}`
		}
	default:
		q.single = len(q.identifiers) == 1 && r.IntN(2) == 0
		body = q.document(r, false)
	}
	headers := map[string]string{}
	if contentType != "" {
		headers["Content-Type"] = contentType
	}
	e := choose(r, stage.RESTEvent, stage.HTTPEvent)(method, path, "", headers) // a body would bring a Content-Type
	if body != "" {
		e["body"] = body
	}
	if r.IntN(4) == 0 {
		e["body"], e["isBase64Encoded"] = base64.StdEncoding.EncodeToString([]byte(body)), true
	}
	q.payload, _ = json.Marshal(e)
}
