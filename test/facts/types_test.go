package facts

import (
	"bytes"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/config"
	"segura-enable/internal/telemetry"
)

// members returns the names that a type's fields have in JSON.
func members(of reflect.Type) []string {
	var names []string
	for _, field := range reflect.VisibleFields(of) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// load returns the names of a package under internal, as the compiler has them.
func load(t *testing.T, room string) *types.Package {
	t.Helper()
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-export", "-f", "{{.Export}}", path).Output()
		if err != nil {
			return nil, err
		}
		return os.Open(string(bytes.TrimSpace(out)))
	})
	loaded, err := imports.Import("segura-enable/internal/" + room)
	if err != nil {
		t.Fatalf("load internal/%s: %v", room, err)
	}
	return loaded
}

// constants returns the exported text constants of a type in a package.
func constants(t *testing.T, room, kind string) []string {
	t.Helper()
	loaded := load(t, room)
	var values []string
	for _, name := range loaded.Scope().Names() {
		one, ok := loaded.Scope().Lookup(name).(*types.Const)
		if ok && one.Exported() && types.TypeString(one.Type(), types.RelativeTo(loaded)) == kind && one.Val().Kind() == constant.String {
			values = append(values, constant.StringVal(one.Val()))
		}
	}
	slices.Sort(values)
	return values
}

// takingContext returns the exported functions of a package that take a context and return nothing.
func takingContext(t *testing.T, room string) []string {
	t.Helper()
	scope := load(t, room).Scope()
	return slices.DeleteFunc(scope.Names(), func(name string) bool {
		function, ok := scope.Lookup(name).(*types.Func)
		return !ok || !function.Exported() || function.Signature().Results().Len() > 0 || function.Signature().Params().Len() == 0 || function.Signature().Params().At(0).Type().String() != "context.Context"
	})
}

// errorTypes returns the types of function errors.
func errorTypes(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(constants(t, "event", "untyped string"), func(text string) bool { return !strings.HasPrefix(text, telemetry.ErrorTypePrefix) })
}

// loader is a function of package config that reads variables.
type loader func(getenv func(string) string) (any, error)

// variables returns what a loader asks for, the default of each, and the bounds of
// counts. Which field a variable is for shows when it is set.
func variables(t *testing.T, load loader) map[string]variable {
	t.Helper()
	found := map[string]variable{}
	base := load.configured(func(name string) string {
		if strings.HasPrefix(name, "SEGURA_") {
			found[name] = variable{}
		}
		return ""
	})
	for name := range found {
		for _, probe := range []string{"1", "1ns", "true", "x"} {
			set := load.configured(setting(name, probe))
			for i := range base.NumField() {
				if !reflect.DeepEqual(base.Field(i).Interface(), set.Field(i).Interface()) {
					found[name] = load.describe(t, name, base.Type().Field(i).Name, base.Field(i).Interface())
				}
			}
		}
		if found[name].Field == "" {
			t.Errorf("%s changes no field", name)
		}
	}
	return found
}

func (load loader) describe(t *testing.T, name, field string, value any) variable {
	t.Helper()
	v := variable{Field: field, Parameter: config.Parameter(name)}
	switch value := value.(type) {
	case time.Duration:
		v.Default = strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(value.String())
	case int:
		v.Default = strconv.Itoa(value)
		v.Min, v.Max = load.bound(name, value, -1), load.bound(name, value, 1)
	default:
		if v := reflect.ValueOf(value); !v.IsZero() && (v.Kind() != reflect.Slice || v.Len() > 0) {
			t.Errorf("%s: teach this test to write the default %v", name, value)
		}
	}
	return v
}

// bound returns the last number that the loader takes from one on in steps of
// step, or 0 if it takes them all.
func (load loader) bound(name string, from, step int) int {
	for n := from; n != from+step*100_000; n += step {
		if _, err := load(setting(name, strconv.Itoa(n))); err != nil && strings.Contains(err.Error(), name+":") {
			return n - step
		}
	}
	return 0
}

func (load loader) configured(getenv func(string) string) reflect.Value {
	c, _ := load(getenv) // its faults are other tests' matter
	return reflect.ValueOf(c)
}

func setting(name, value string) func(string) string {
	return func(asked string) string {
		if asked == name {
			return value
		}
		return ""
	}
}
