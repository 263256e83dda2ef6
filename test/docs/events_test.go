package docs

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/event"
)

const eventsPage = "docs/events.md"

func TestEvents_haveASampleEachThatIsNoRequest(t *testing.T) {
	report(t, wrongEvents)
}

var jsonBlock = regexp.MustCompile("(?ms)^```json\n(.*?)^```$")

// wrongEvents wants a sample of each detail-type that the page's table has, and no
// other; what the template makes of a window has the members that the code writes, and
// the functions take no sample for a request.
func wrongEvents(r *repository) {
	text := r.read(eventsPage)
	var code struct {
		OwnSource string `json:"own_source"`
		Windows   struct {
			Event  map[string]string
			States []string
		}
	}
	if err := json.Unmarshal([]byte(r.read("tools/sam/facts.json")), &code); err != nil {
		r.t.Fatal(err)
	}
	var told, shown []string
	for _, row := range regexp.MustCompile("(?m)^\\|.*\\| `([^`]+)` \\| `([^`]+)` \\|$").FindAllStringSubmatch(text, -1) {
		if row[1] != "source" { // the table's head
			told = append(told, row[1]+": "+row[2])
		}
	}
	for _, block := range jsonBlock.FindAllStringSubmatch(text, -1) {
		var sample struct {
			Source     string
			DetailType string `json:"detail-type"`
			Detail     map[string]any
		}
		if err := json.Unmarshal([]byte(block[1]), &sample); err != nil {
			r.fault("%s: a sample is not JSON: %v", eventsPage, err)
			return
		}
		kind := sample.Source + ": " + sample.DetailType
		shown = append(shown, kind)
		if _, err := event.Open([]byte(block[1]), nil); err == nil || !strings.Contains(err.Error(), "asks for nothing") {
			r.fault("%s: the functions take the sample of %s for a request: %v", eventsPage, kind, err)
		}
		if sample.Source != code.OwnSource {
			continue
		}
		if got, want := slices.Sorted(maps.Keys(sample.Detail)), slices.Sorted(maps.Keys(code.Windows.Event)); !slices.Equal(got, want) {
			r.fault("%s: the sample of %s has %v, the code writes %v", eventsPage, kind, got, want)
		}
		if state, _ := sample.Detail["state"].(string); !slices.Contains(code.Windows.States, state) {
			r.fault("%s: the sample of %s has the state %q", eventsPage, kind, state)
		}
	}
	if !slices.Equal(told, shown) || len(told) == 0 {
		r.fault("%s lists %q and has samples of %q", eventsPage, told, shown)
	}
}
