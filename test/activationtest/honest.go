package activationtest

import (
	"encoding/json"
	"fmt"
	"strings"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// Honest holds what an answer told, by identifier, against what Segura was asked since
// the last Reset: it was called for no other identifier and for none that is not
// allowed, only to enable or disable, each success is one that it said, and each
// identifier was audited once.
func (w *World) Honest(told map[int64]apisecret.Outcome) error {
	said := map[int64]bool{}
	for _, call := range w.Requests() {
		switch call.Kind {
		case seguratest.KindToken, seguratest.KindHead:
		case seguratest.KindEnable, seguratest.KindDisable:
			if _, ok := told[call.Identifier]; !ok || !w.Runner.Allowed.Contains(apisecret.Identifier(call.Identifier)) {
				return fmt.Errorf("a call for %d, which is not told of or not allowed", call.Identifier)
			}
			said[call.Identifier] = call.Status == 200
		default:
			return fmt.Errorf("a call of another kind: %s %s", call.Method, call.Path)
		}
	}
	for i, outcome := range told {
		if outcome != apisecret.Failed && !said[i] {
			return fmt.Errorf("%s is told of %d, which Segura did not say", outcome, i)
		}
	}
	if audits := strings.Count(w.Audit.String(), `"message":"audit"`); audits != len(told) {
		return fmt.Errorf("%d audit lines for %v", audits, told)
	}
	return nil
}

// Audited is the first of the audit and metric lines.
func (w *World) Audited() (line map[string]any, err error) {
	first, _, _ := strings.Cut(w.Audit.String(), "\n")
	return line, json.Unmarshal([]byte(first), &line)
}
