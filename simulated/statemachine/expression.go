package statemachine

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/blues/jsonata-go"
	"github.com/blues/jsonata-go/jtypes"
)

// queryError is the name of the error of an expression that fails, or that has no
// result where one is needed.
const queryError = "States.QueryEvaluationError"

// evaluating lets one goroutine at a time evaluate: the library keeps its built-in
// functions in package variables, and writes to them. That is why this is one, too.
var evaluating sync.Mutex

// scope is what an expression sees: $states, and the variables assigned so far.
type scope struct {
	states    map[string]any
	variables map[string]any
	now       func() time.Time
}

// with is the scope with one member more, or another one, in $states.
func (s scope) with(name string, value any) scope {
	states := map[string]any{name: value}
	for key, one := range s.states {
		if key != name {
			states[key] = one
		}
	}
	s.states = states
	return s
}

// expressionOf takes the expression out of its marks.
func expressionOf(text string) (string, bool) {
	inner, opens := strings.CutPrefix(text, "{%")
	inner, closes := strings.CutSuffix(inner, "%}")
	return inner, opens && closes
}

// evaluate evaluates every expression in a value, however deep. No result at all
// is an error, as it is to Step Functions.
func (s scope) evaluate(value any) (any, error) {
	switch value := value.(type) {
	case string:
		if expression, is := expressionOf(value); is {
			return s.query(expression)
		}
		return value, nil
	case map[string]any:
		all := make(map[string]any, len(value))
		for key, one := range value {
			var err error
			if all[key], err = s.evaluate(one); err != nil {
				return nil, err
			}
		}
		return all, nil
	case []any:
		all := make([]any, len(value))
		for i, one := range value {
			var err error
			if all[i], err = s.evaluate(one); err != nil {
				return nil, err
			}
		}
		return all, nil
	default:
		return value, nil
	}
}

// query evaluates one expression.
func (s scope) query(expression string) (any, error) {
	fail := func(err error) (any, error) {
		return nil, &Error{queryError, fmt.Sprintf("%s: %v", strings.TrimSpace(expression), err)}
	}
	evaluating.Lock()
	defer evaluating.Unlock()
	compiled, err := jsonata.Compile(expression)
	if err != nil {
		return fail(err)
	}
	variables := map[string]any{"states": s.states}
	for name, value := range s.variables {
		variables[name] = value
	}
	if err := errors.Join(compiled.RegisterExts(s.extensions()), compiled.RegisterVars(variables)); err != nil {
		return fail(err)
	}
	result, err := compiled.Eval(nil)
	if err != nil {
		return fail(err)
	}
	return normal(result)
}

// normal makes plain JSON of a result: the library hands back types of its own.
func normal(result any) (any, error) {
	text, err := json.Marshal(result)
	if err != nil {
		return nil, &Error{queryError, err.Error()}
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, &Error{queryError, err.Error()}
	}
	return plain, nil
}

// typeOf is JSONata's $type; the library's own panics at a null in an array.
func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case map[string]any:
		return "object"
	case float64, int:
		return "number"
	default:
		return "array"
	}
}

// extensions are the functions that Step Functions adds to JSONata and that are
// used here, and those of JSONata that tell the time, which is the clock's here.
func (s scope) extensions() map[string]jsonata.Extension {
	return map[string]jsonata.Extension{
		"type":   {Func: typeOf, UndefinedHandler: jtypes.ArgUndefined(0)},
		"millis": {Func: func() float64 { return float64(s.now().UnixMilli()) }},
		"now":    {Func: func() string { return s.now().UTC().Format("2006-01-02T15:04:05.000Z") }},
		"uuid": {Func: func() string {
			var bytes [16]byte
			_, _ = rand.Read(bytes[:]) // it never fails
			return hex.EncodeToString(bytes[:])
		}},
		"parse": {
			Func: func(text string) (any, error) {
				var value any
				if err := json.Unmarshal([]byte(text), &value); err != nil {
					return nil, fmt.Errorf("parse: %w", err)
				}
				return value, nil
			},
			UndefinedHandler: jtypes.ArgUndefined(0),
		},
	}
}

// condition evaluates the condition of a rule, which has to be a boolean.
func (s scope) condition(text string) (bool, error) {
	value, err := s.evaluate(text)
	if err != nil {
		return false, err
	}
	holds, is := value.(bool)
	if !is {
		return false, &Error{queryError, fmt.Sprintf("%s: %v is no boolean", text, value)}
	}
	return holds, nil
}

// number evaluates a value that has to be a number.
func (s scope) number(value any) (float64, error) {
	result, err := s.evaluate(value)
	if err != nil {
		return 0, err
	}
	number, is := result.(float64)
	if !is {
		return 0, &Error{queryError, fmt.Sprintf("%v: %v is no number", value, result)}
	}
	return number, nil
}

// text evaluates a value that has to be a string.
func (s scope) text(value any) (string, error) {
	result, err := s.evaluate(value)
	if err != nil {
		return "", err
	}
	text, is := result.(string)
	if !is {
		return "", &Error{queryError, fmt.Sprintf("%v: %v is no string", value, result)}
	}
	return text, nil
}

// checkExpressions parses every expression in a value.
func checkExpressions(value any) error {
	var faults []error
	switch value := value.(type) {
	case string:
		if expression, is := expressionOf(value); is {
			if _, err := jsonata.Compile(expression); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", value, err))
			}
		}
	case map[string]any:
		for _, one := range value {
			faults = append(faults, checkExpressions(one))
		}
	case []any:
		for _, one := range value {
			faults = append(faults, checkExpressions(one))
		}
	}
	return errors.Join(faults...)
}
