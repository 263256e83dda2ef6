package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// request is one invocation to be made.
type request struct {
	payload     []byte
	action      string
	identifiers []int64 // in order, each once
	invalid     int     // over HTTP: the status that must come; for an event, anything but 0
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
	for tries := 0; len(q.identifiers) < n && (tries < 5000 || len(q.identifiers) == 0); tries++ {
		i := 1 + r.Int64N(universe+5)
		if r.IntN(200) == 0 {
			i = giant
		}
		if suits(i) && !slices.Contains(q.identifiers, i) {
			q.identifiers = append(q.identifiers, i)
		}
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
	document := map[string]any{}
	if len(q.identifiers) == 1 && r.IntN(2) == 0 {
		document["identifier"] = spelled(r, q.identifiers[0])
	} else {
		var list []any
		for at, i := range q.identifiers {
			list = append(list, spelled(r, i))
			if r.IntN(20) == 0 && len(q.identifiers) < 90 {
				list = append(list, spelled(r, q.identifiers[r.IntN(at+1)]))
			}
		}
		document["identifiers"] = list
	}
	if withAction && (q.action != "enable" || r.IntN(2) == 0) {
		document["action"] = q.action
	}
	if q.reason != "" {
		document["reason"] = q.reason
	}
	return marshal(document)
}

func spelled(r *rand.Rand, i int64) any {
	if r.IntN(4) == 0 {
		return strconv.FormatInt(i, 10)
	}
	return i
}

func marshal(value any) string {
	b, _ := json.Marshal(value)
	return string(b)
}

// asEvent wraps the request for the event function; now and then it becomes one
// that cannot be understood, a self-check or a bare scheduled event.
func (w *world) asEvent(r *rand.Rand, q *request) {
	switch r.IntN(16) {
	case 0:
		*q = request{timeout: q.timeout, invalid: 400, payload: []byte(choose(r, "", "null", "{", `{"identifier":0}`, `{"identifier":05}`,
			`{"identifiers":[]}`, `{"identifiers":[5,5.0]}`, `{"identifier":5,"identifiers":[5]}`, `{"identifier":5,"Identifier":6}`,
			`{"identifier":5,"identifier":6}`, `{"identifier":5,"check":true}`, `{"identifier":5,"action":"delete"}`, `{"identifier":5} {}`,
			`{"identifiers":["../../password/active/5"]}`, `{"identifier":5,"reason":"`+strings.Repeat("x", 257)+`"}`))}
	case 1:
		*q = request{timeout: q.timeout, check: true, payload: []byte(`{"check":true}`)}
	case 2:
		if q.action != "enable" {
			q.payload = []byte(q.document(r, true))
			return
		}
		*q = request{timeout: q.timeout, action: "enable", identifiers: w.config.defaults, payload: []byte(eventBridge("aws.scheduler", `"{}"`))}
	case 3, 4, 5:
		q.payload = []byte(eventBridge("chaos.source", q.document(r, true)))
	default:
		q.payload = []byte(q.document(r, true))
	}
}

func eventBridge(source, detail string) string {
	return `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"Change Approved","source":"` + source +
		`","account":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1","resources":[],"detail":` + detail + `}`
}

// overHTTP wraps the request for the API function; now and then it becomes one that
// is refused.
func (w *world) overHTTP(r *rand.Rand, q *request) {
	path, body := "/api-secrets/"+q.action, ""
	switch {
	case r.IntN(14) == 0:
		bad := choose(r, []struct {
			path, body string
			status     int
		}{
			{"/api-secrets/5/../6/enable", "", 404},
			{"/api-secrets/5%2f6/enable", "", 400},
			{"/api-secrets/enable", `{"identifier":5,"action":"enable"}`, 400},
			{"/api-secrets/5/enable", `{"identifier":6}`, 400},
			{"/api-secrets/enable", `{"identifiers":[` + strings.Repeat("1,", 100) + `2]}`, 400},
			{"/api-secrets/enable", strings.Repeat(" ", 64<<10) + "{}", 413},
		}...)
		*q = request{timeout: q.timeout, invalid: bad.status}
		path, body = bad.path, bad.body
	case len(q.identifiers) == 1 && q.reason == "" && r.IntN(2) == 0:
		path = fmt.Sprintf("/api-secrets/%d/%s", q.identifiers[0], q.action)
	default:
		body = q.document(r, false)
	}
	q.payload = []byte(marshal(choose(r, stage.RESTEvent, stage.HTTPEvent)("POST", path, body, nil)))
}
