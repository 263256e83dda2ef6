package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
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

// draw makes a valid request at random.
func (w *world) draw(r *rand.Rand, limit time.Duration, action string) request {
	q := request{action: action, timeout: limit, reason: choose(r, "", "", "CHG0012345", "quotes \" and\nbreaks\u2028\x7f", strings.Repeat("ж", 256))}
	for n := choose(r, 1, 1, 2, 5, 20, 60, 100); len(q.identifiers) < n; {
		i := 1 + r.Int64N(universe+5)
		if r.IntN(200) == 0 {
			i = giant
		}
		if !slices.Contains(q.identifiers, i) {
			q.identifiers = append(q.identifiers, i)
		}
	}
	document := map[string]any{"identifiers": q.identifiers, "action": action, "reason": q.reason}
	if w.config.door == api {
		delete(document, "action")
	}
	text := marshal(document)
	switch {
	case w.config.door == api && len(q.identifiers) == 1 && q.reason == "":
		text = marshal(choose(r, stage.RESTEvent, stage.HTTPEvent)("POST", fmt.Sprintf("/api-secrets/%d/%s", q.identifiers[0], q.action), "", nil))
	case w.config.door == api:
		text = marshal(choose(r, stage.RESTEvent, stage.HTTPEvent)("POST", "/api-secrets/"+q.action, text, nil))
	case r.IntN(4) == 0:
		text = eventBridge("chaos.source", text)
	}
	q.payload = []byte(text)
	return q
}

// odd makes a request of another kind: one that cannot be understood, a self-check or a
// bare scheduled event.
func (w *world) odd(r *rand.Rand, limit time.Duration) request {
	q := request{timeout: limit, invalid: 400}
	text := choose(r, "", "{", `{"identifier":0}`, `{"identifiers":[]}`, `{"identifiers":[5,5.0]}`, `{"identifier":5,"Identifier":6}`,
		`{"identifier":5,"check":true}`, `{"identifier":5,"action":"delete"}`, `{"identifier":5} {}`, `{"identifiers":["../../password/active/5"]}`)
	kind := r.IntN(3)
	switch {
	case w.config.door == api && kind == 0:
		q.invalid = 404
		text = marshal(stage.HTTPEvent("POST", "/api-secrets/5/../6/enable", "", nil))
	case w.config.door == api:
		text = marshal(stage.HTTPEvent("POST", "/api-secrets/enable", text+" ", nil)) // an empty body has another meaning
	case kind == 0:
		q.invalid, q.check, text = 0, true, `{"check":true}`
	case kind == 1:
		q.invalid, q.action, q.identifiers, text = 0, "enable", []int64{10, 11, 12, 13, 14}, eventBridge("aws.scheduler", `"{}"`)
	}
	q.payload = []byte(text)
	return q
}

func marshal(value any) string {
	b, _ := json.Marshal(value)
	return string(b)
}

func eventBridge(source, detail string) string {
	return `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"Change Approved","source":"` + source +
		`","account":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1","resources":[],"detail":` + detail + `}`
}
