// Package statemachine interprets the definition of the window machine in the folder
// statemachines on this machine: the very file that the template deploys, against
// the compiled functions and the simulated Segura.
//
// It knows that part of the Amazon States Language which that file uses, with
// JSONata for the query language, and refuses a definition with anything else in
// it, so that nothing is passed over in silence. tools/statemachines holds it
// against an interpreter that is not ours.
package statemachine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// The types of states that are interpreted.
const (
	typeChoice  = "Choice"
	typeFail    = "Fail"
	typePass    = "Pass"
	typeSucceed = "Succeed"
	typeTask    = "Task"
	typeWait    = "Wait"
)

// Machine is a state machine, ready to be executed any number of times.
type Machine struct {
	Comment       string
	QueryLanguage string
	StartAt       string
	States        map[string]State
}

// State is one state, of any type; which fields count depends on the type. Those
// of type any may hold JSONata.
type State struct {
	Type     string
	Comment  string
	Next     string
	End      bool
	Assign   map[string]any
	Output   any
	Choices  []Choice
	Default  string
	Resource string

	Arguments      any
	TimeoutSeconds any
	Retry          []Retrier
	Catch          []Catcher

	Seconds   any
	Timestamp any

	Error string
	Cause any
}

// Choice is one rule of a Choice state.
type Choice struct {
	Comment   string
	Condition string
	Assign    map[string]any
	Next      string
}

// Retrier says which errors of a state are worth another try, and when.
type Retrier struct {
	ErrorEquals     []string
	IntervalSeconds int
	BackoffRate     float64
	MaxDelaySeconds int
	MaxAttempts     int
}

// Catcher says where to go on after which errors.
type Catcher struct {
	ErrorEquals []string
	Assign      map[string]any
	Output      any
	Next        string
}

// Error is an error as state machines see it, with a name to match and a cause.
type Error struct{ Name, Cause string }

func (e *Error) Error() string { return e.Name + ": " + e.Cause }

// placeholder is what CloudFormation's DefinitionSubstitutions fill in.
var placeholder = regexp.MustCompile(`\$\{([A-Za-z]+)\}`)

// Load reads a definition of the folder statemachines, by its name without the
// ending, and fills in its placeholders as CloudFormation does. A placeholder
// without a value is an error, and so is a value without a placeholder.
func Load(root, name string, values map[string]string) (*Machine, error) {
	text, err := Definition(root, name, values)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Definition is the text that Load parses.
func Definition(root, name string, values map[string]string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, "statemachines", name+".asl.json"))
	if err != nil {
		return nil, fmt.Errorf("read state machine: %w", err)
	}
	used := map[string]bool{}
	var faults []error
	text = placeholder.ReplaceAllFunc(text, func(found []byte) []byte {
		key := string(placeholder.FindSubmatch(found)[1])
		value, given := values[key]
		if !given {
			faults = append(faults, fmt.Errorf("state machine %s: no value for ${%s}", name, key))
		}
		used[key] = true
		return []byte(value)
	})
	for key := range values {
		if !used[key] {
			faults = append(faults, fmt.Errorf("state machine %s: nothing uses ${%s}", name, key))
		}
	}
	return text, errors.Join(faults...)
}

// Parse reads a definition. What is not interpreted here is an error.
func Parse(definition []byte) (*Machine, error) {
	decoder := json.NewDecoder(bytes.NewReader(definition))
	decoder.DisallowUnknownFields()
	m := &Machine{}
	if err := decoder.Decode(m); err != nil {
		return nil, fmt.Errorf("parse state machine: %w", err)
	}
	if m.QueryLanguage != "JSONata" {
		return nil, fmt.Errorf("parse state machine: its query language is %q, not JSONata", m.QueryLanguage)
	}
	return m, m.check()
}

// check finds transitions that lead nowhere, states that nothing leads to, and
// expressions that cannot be parsed.
func (m *Machine) check() error {
	reached := map[string]bool{m.StartAt: true}
	var faults []error
	for name, state := range m.States {
		for _, next := range state.transitions() {
			reached[next] = true
			if _, exists := m.States[next]; !exists {
				faults = append(faults, fmt.Errorf("state %s leads to %q, which does not exist", name, next))
			}
		}
		if err := state.check(); err != nil {
			faults = append(faults, fmt.Errorf("state %s: %w", name, err))
		}
	}
	for name := range m.States {
		if !reached[name] {
			faults = append(faults, fmt.Errorf("nothing leads to state %s", name))
		}
	}
	return errors.Join(faults...)
}

// transitions are all states that this one may lead to.
func (s State) transitions() (all []string) {
	for _, next := range []string{s.Next, s.Default} {
		if next != "" {
			all = append(all, next)
		}
	}
	for _, choice := range s.Choices {
		all = append(all, choice.Next)
	}
	for _, catcher := range s.Catch {
		all = append(all, catcher.Next)
	}
	return all
}

func (s State) check() error {
	known := []string{typeChoice, typeFail, typePass, typeSucceed, typeTask, typeWait}
	if !slices.Contains(known, s.Type) {
		return fmt.Errorf("its type %q is not interpreted here", s.Type)
	}
	ends := s.End || s.Type == typeFail || s.Type == typeSucceed
	leads := s.Next != "" || s.Type == typeChoice && s.Default != ""
	if ends == leads {
		return errors.New("it needs either an end or a next state")
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write it as JSON: %w", err)
	}
	var value any
	if err := json.Unmarshal(plain, &value); err != nil {
		return fmt.Errorf("read it as JSON: %w", err)
	}
	return checkExpressions(value)
}
