package activationtest

import (
	"encoding/json"
	"maps"
	"slices"
)

// Misshape calls try with the event, a JSON object, once for each member at any depth
// and each replacement in its place, and once without the member.
func Misshape(event string, try func(payload string), replacements ...any) error {
	var e map[string]any
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		return err
	}
	misshape(e, replacements, func() {
		text, _ := json.Marshal(e) // it was JSON
		try(string(text))
	})
	return nil
}

func misshape(e map[string]any, replacements []any, try func()) {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		original := e[name]
		if inner, ok := original.(map[string]any); ok {
			misshape(inner, replacements, try)
		}
		for _, replacement := range replacements {
			e[name] = replacement
			try()
		}
		delete(e, name)
		try()
		e[name] = original
	}
}
