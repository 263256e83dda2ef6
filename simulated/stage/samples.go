package stage

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"segura-enable/simulated/seguratest"
)

// Sample is one file of the folder events, and what it is about.
type Sample struct {
	File     string // name in the folder events
	Function string
	About    string // one line for a reader
	Want     Want
}

// Want is what has to come of a sample, with Segura's API secrets as
// [seguratest.Sample] has them and the functions configured as by default.
type Want struct {
	Status    int      // of the HTTP response; zero for [Event]
	ErrorType string   // of the function error; empty for a success
	Results   []string // in order, as [Item.String] has them
	Steps     []string // of the self-check
}

const permanent = "Segura.PermanentError"

// Samples is every file of the folder events, in an order to read them in.
var Samples = []Sample{
	{"direct-one.json", Event, "aws lambda invoke, one API secret", Want{Results: []string{"5 enabled"}}},
	{"direct-many.json", Event, "aws lambda invoke, four API secrets, two of which fail",
		Want{ErrorType: permanent, Results: []string{"5 enabled", "6 already_enabled", "7 failed not_found", "8 failed access_denied"}}},
	{"direct-disable.json", Event, "aws lambda invoke, disabling again", Want{Results: []string{"5 already_disabled", "6 disabled"}}},
	{"direct-not-allowed.json", Event, "an identifier outside SEGURA_ALLOWED_IDENTIFIERS",
		Want{ErrorType: permanent, Results: []string{"1000 failed not_allowed"}}},
	{"scheduler-custom-input.json", Event, "EventBridge Scheduler with an input of its own",
		Want{Results: []string{"100 enabled", "101 enabled", "102 enabled"}}},
	{"scheduler-default-payload.json", Event, "EventBridge Scheduler without input: SEGURA_DEFAULT_IDENTIFIERS",
		Want{Results: []string{"100 enabled", "101 enabled", "102 enabled"}}},
	{"scheduled-rule.json", Event, "EventBridge rule on a schedule: SEGURA_DEFAULT_IDENTIFIERS",
		Want{Results: []string{"100 enabled", "101 enabled", "102 enabled"}}},
	{"eventbridge-custom.json", Event, "EventBridge event of an application of yours", Want{Results: []string{"5 enabled", "6 already_enabled"}}},
	{"step-functions.json", Event, "Step Functions task", Want{Results: []string{"100 enabled", "6 already_enabled"}}},
	{"bulk-batch.json", Event, "Step Functions, a batch of a Distributed Map, one of which fails",
		Want{ErrorType: permanent, Results: []string{"100 enabled", "6 already_enabled", "7 failed not_found"}}},
	{"eventbridge-replay.json", Event, "EventBridge event that is replayed from an archive: refused", Want{ErrorType: "Segura.InvalidRequest"}},
	{"rest-one.json", API, "REST API, one API secret", Want{Status: 200, Results: []string{"5 enabled"}}},
	{"rest-batch.json", API, "REST API behind a base path mapping, three API secrets, one of which fails",
		Want{Status: 207, Results: []string{"5 enabled", "6 already_enabled", "7 failed not_found"}}},
	{"rest-disable.json", API, "REST API, disabling again", Want{Status: 200, Results: []string{"6 disabled"}}},
	{"rest-not-found.json", API, "REST API, an API secret that does not exist", Want{Status: 404, Results: []string{"7 failed not_found"}}},
	{"http-api-one.json", API, "HTTP API, an API secret that is active already", Want{Status: 200, Results: []string{"6 already_enabled"}}},
	{"http-api-batch.json", API, "HTTP API in a named stage, three API secrets",
		Want{Status: 200, Results: []string{"100 enabled", "101 enabled", "6 already_enabled"}}},
	{"http-api-access-denied.json", API, "HTTP API, an API secret that the access key may not change",
		Want{Status: 403, Results: []string{"8 failed access_denied"}}},
	{"function-url.json", API, "Lambda function URL, one API secret", Want{Status: 200, Results: []string{"5 enabled"}}},
	{"self-check.json", Event, "self-check: credentials, connection, token; nothing is enabled",
		Want{Steps: []string{"credentials passed", "connection passed", "token passed"}}},
	{"window-open.json", Window, "a window, open for ten hours", Want{Results: []string{"101 enabled", "102 enabled"}}},
	{"rest-window.json", Window, "REST API, another window, on one of them", Want{Status: 201, Results: []string{"102 enabled"}}},
	{"window-extend.json", Window, "extending a window; put the id of yours in: this one there is not", Want{ErrorType: permanent}},
	{"window-close.json", Window, "closing a window before its end; the same", Want{ErrorType: permanent}},
	{"window-reconcile.json", Window, "what the schedule sends every minute", Want{}},
	{"scheduler-window.json", Window, "EventBridge Scheduler with ScheduleFor, delivered when the window is over", Want{ErrorType: permanent}},
}

// SampleOf finds the sample of a file by its name.
func SampleOf(file string) (Sample, bool) {
	for _, sample := range Samples {
		if sample.File == filepath.Base(file) {
			return sample, true
		}
	}
	return Sample{}, false
}

// Read reads the event from the repository.
func (s Sample) Read() ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	event, err := os.ReadFile(filepath.Join(root, "events", s.File))
	if err != nil {
		return nil, fmt.Errorf("read sample: %w", err)
	}
	return event, nil
}

// Faults says in which ways an exchange is not what the sample is about; none
// means that all is well.
func (s Sample) Faults(x Exchange) []string {
	answer, err := x.Answer()
	if err != nil {
		return []string{err.Error()}
	}
	var faults []string
	compare := func(what string, got, want any) {
		if g, w := or(fmt.Sprint(got)), or(fmt.Sprint(want)); g != w {
			faults = append(faults, fmt.Sprintf("%s: got %s, want %s", what, g, w))
		}
	}
	compare("HTTP status", answer.Status, s.Want.Status)
	compare("function error", answer.ErrorType, s.Want.ErrorType)
	compare("results", answer.Items(), s.Want.Results)
	compare("leaks", x.Leaks, nil)
	if check := answer.SelfCheck; check != nil || len(s.Want.Steps) > 0 {
		// A token that init fetched ahead may come before.
		var steps []string
		var kinds []seguratest.Kind
		for _, step := range cmp.Or(check, &SelfCheck{}).Steps {
			steps = append(steps, step.Name+" "+step.Outcome)
		}
		for _, r := range x.Requests[max(len(x.Requests)-2, 0):] {
			kinds = append(kinds, r.Kind)
		}
		compare("steps of the self-check", steps, s.Want.Steps)
		compare("requests of the self-check", kinds, []seguratest.Kind{seguratest.KindHead, seguratest.KindToken})
	}
	calls, changes := s.Want.effects()
	compare("calls to Segura", x.Calls(), calls)
	compare("API secrets changed", x.Changes(), changes)
	return faults
}

// or puts a word in the place of nothing.
func or(text string) string {
	switch text {
	case "", "0", "[]", "<nil>":
		return "none"
	default:
		return text
	}
}

// effects are the calls that Segura has to get, one for each identifier that is
// allowed, and the API secrets that have to change.
func (w Want) effects() (calls, changes []string) {
	for _, result := range w.Results {
		identifier, outcome, _ := strings.Cut(result, " ")
		verb := seguratest.KindEnable
		if strings.HasSuffix(outcome, "disabled") {
			verb = seguratest.KindDisable
		}
		if outcome != "failed not_allowed" {
			calls = append(calls, string(verb)+" "+identifier)
		}
		switch outcome {
		case "enabled":
			changes = append(changes, identifier+" active")
		case "disabled":
			changes = append(changes, identifier+" inactive")
		}
	}
	slices.Sort(calls)
	return calls, changes
}
