// Package bulk_test runs the machine for lists in MiniStack, an emulator of AWS
// that is not ours, against the compiled EventFunction and the simulated Segura.
// tools/statemachines/emulator.py says what stands in for Step Functions there.
package bulk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

var (
	aws       *emulator
	bootstrap string
)

func TestMain(m *testing.M) {
	python := os.Getenv("MINISTACK_PYTHON")
	if python == "" {
		fmt.Println("make check-statemachines runs these, where MiniStack can be had")
		return
	}
	os.Exit(run(m, python))
}

func run(m *testing.M, python string) int {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	dir, err := os.MkdirTemp("", "bulk")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		var built map[string]string
		built, err = stage.Build(ctx, dir, stage.BuildOptions{}, stage.Event)
		bootstrap = built[stage.Event]
	}
	if err == nil {
		aws, err = startEmulator(ctx, python, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	end()
	<-aws.failed
	return code
}

// settings are the operator's.
type settings struct{ batch, concurrency, tolerated int }

var usual = settings{batch: 80, concurrency: 1}

func definition(t *testing.T, s settings) []byte {
	t.Helper()
	root, err := stage.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "statemachines", "bulk.asl.json"))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.NewReplacer("${EventFunctionArn}", function, "${EventFunctionName}", "EventFunction", "${Partition}", "aws", "${Bucket}", bucket, "${BatchSize}", fmt.Sprint(s.batch),
		"${Concurrency}", fmt.Sprint(s.concurrency), "${ToleratedFailurePercentage}", fmt.Sprint(s.tolerated)).Replace(string(text)))
}

// start starts the simulated Segura with the function deployed against it. 6 is
// active, 7 missing and 8 forbidden.
func start(t *testing.T, n int64) *seguratest.Server {
	t.Helper()
	secrets := map[int64]seguratest.APISecret{}
	for i := int64(1); i <= n; i++ {
		secrets[i] = seguratest.APISecret{}
	}
	secrets[6], secrets[7], secrets[8] = seguratest.APISecret{Active: true}, seguratest.APISecret{Missing: true}, seguratest.APISecret{Forbidden: true}
	for _, large := range []int64{9007199254740991, 9007199254740992, 9007199254740993} {
		secrets[large] = seguratest.APISecret{}
	}
	stack, err := stage.Start(t.Context(), stage.Options{
		Functions: []string{}, Segura: seguratest.Options{APISecrets: secrets},
		Env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "", "SEGURA_MAX_ATTEMPTS": "1", "SSL_CERT_FILE": os.DevNull, "SSL_CERT_DIR": "/nonexistent"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	aws.deploy(t, bootstrap, stack.Env())
	return stack.Segura
}

// report is what a run says at its end.
type report struct {
	Rows, Changed, Unchanged, Failed int
	FailedByCode                     map[string]int `json:"failed_by_code"`
	NotTried                         int            `json:"not_tried"`
	Results                          string
}

func reportOf(t *testing.T, x execution) (r report) {
	t.Helper()
	if x.Status != "SUCCEEDED" {
		t.Fatalf("got %s %s %s", x.Status, x.Error, x.Cause)
	}
	if err := json.Unmarshal([]byte(x.Output), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// csv is a list of the identifiers from one to another.
func csv(from, to int) string {
	return "owner,identifier\n" + rows("\"one, or another\",%d\n", from, to)
}

func rows(format string, from, to int) string {
	var list strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&list, format, i)
	}
	return list.String()
}

func input(key string) string { return `{"key":"` + key + `","action":"enable"}` }

// enable has a list enabled.
func enable(t *testing.T, s settings, key, list string) execution {
	t.Helper()
	aws.put(t, key, list)
	return aws.execute(t, definition(t, s), input(key))
}

// stored is what the machine keeps of a batch.
type stored struct {
	Failure struct{ Error, Cause string }
	text    []byte
}

// resultWith is the result of the batch that has this text.
func resultWith(t *testing.T, x execution, text string) (s stored) {
	t.Helper()
	for key, object := range aws.results(t, x) {
		if strings.HasSuffix(key, "/report.json") || !strings.Contains(string(object), text) {
			continue
		}
		s.text = object
		if err := json.Unmarshal(object, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Errorf("no result has %s", text)
	return s
}

// processor is what a machine does with one batch, from a state on.
func processor(t *testing.T, machine []byte, from string) []byte {
	t.Helper()
	var d struct {
		States map[string]struct {
			ItemProcessor struct{ States map[string]any }
		}
	}
	if err := json.Unmarshal(machine, &d); err != nil {
		t.Fatal(err)
	}
	for _, state := range d.States {
		if _, has := state.ItemProcessor.States[from]; has {
			return encoded(t, map[string]any{"StartAt": from, "States": state.ItemProcessor.States})
		}
	}
	t.Fatalf("there is no state %s", from)
	return nil
}

// enabled are those that a run has enabled; 6 was before.
func enabled(segura *seguratest.Server) (all []int64) {
	for i, one := range segura.States() {
		if one.Active && i != 6 {
			all = append(all, i)
		}
	}
	slices.Sort(all)
	return all
}

func TestBulk_enablesEveryRowAndReports(t *testing.T) {
	lines := rows("{\"owner\": null, \"identifier\": %d}\n", 101, 300)
	for _, row := range []struct{ key, list string }{
		{"lists/all.csv", csv(101, 300)},
		{"lists/crlf.csv", strings.ReplaceAll(csv(101, 300), "\n", "\r\n")},
		{"lists/all.jsonl", lines},
		{"lists/crlf.jsonl", strings.ReplaceAll(lines, "\n", "\r\n")},
	} {
		segura := start(t, 300)

		x := enable(t, settings{batch: 80, concurrency: 2}, row.key, row.list)

		got, want := reportOf(t, x), report{Rows: 200, Changed: 200, FailedByCode: map[string]int{}, Results: "s3://lists/results/" + x.Name + "/"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, want %+v", row.key, got, want)
		}
		if got := enabled(segura); len(got) != 200 || got[0] != 101 || got[199] != 300 {
			t.Errorf("%s: got %d enabled, want 101 to 300", row.key, len(got))
		}
		if got := len(aws.results(t, x)); got != 3+1 {
			t.Errorf("%s: got %d objects, want a result for each of 3 batches, and the report", row.key, got)
		}
	}
}

func TestBulk_takesTenThousandRows(t *testing.T) {
	const n = 10_000
	segura := start(t, n)

	x := enable(t, settings{batch: 80, concurrency: 4}, "lists/many.csv", csv(1, n))

	got := fmt.Sprint(reportOf(t, x))
	want := fmt.Sprint(report{n, n - 3, 1, 2, map[string]int{"not_found": 1, "access_denied": 1}, 0, "s3://lists/results/" + x.Name + "/"})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := len(enabled(segura)); got != n-3 {
		t.Errorf("got %d enabled, want all but 6, which was, 7 and 8", got)
	}
	if got := len(aws.results(t, x)); got != n/80+1 {
		t.Errorf("got %d objects, want a result for each of %d batches, and the report", got, n/80)
	}
}

func TestBulk_isDoneWithABatchWhoseFailuresArePermanent(t *testing.T) {
	segura := start(t, 20)
	segura.SetState(17, seguratest.APISecret{Missing: true})
	aws.put(t, "lists/some.csv", csv(1, 20))

	x := aws.execute(t, definition(t, settings{batch: 5, concurrency: 1}), `{"key":"lists/some.csv","action":"disable","reason":"CHG0012345"}`)

	got := fmt.Sprint(reportOf(t, x))
	want := fmt.Sprint(report{20, 1, 16, 3, map[string]int{"not_found": 2, "access_denied": 1}, 0, "s3://lists/results/" + x.Name + "/"})
	if got != want {
		t.Errorf("got %s, want %s: 6 disabled, 16 that were, 7, 8 and 17 failed", got, want)
	}
	if got := segura.CountFor(seguratest.KindDisable, 7); got != 1 {
		t.Errorf("got %d calls for 7, want one", got)
	}
	stored := resultWith(t, x, `"identifier": "7"`)
	if stored.Failure.Error != "Segura.PermanentError" || !strings.Contains(stored.Failure.Cause, "not_found") || !strings.Contains(stored.Failure.Cause, "access_denied") {
		t.Errorf("got the result %+v, want its document with both failures", stored)
	}
	if metric := aws.metric(t); !strings.Contains(metric, "BulkRowsFailed") {
		t.Errorf("got the metrics %s, want BulkRowsFailed", metric)
	}
}

func TestBulk_repeatsABatchUntilTransientFailuresPass(t *testing.T) {
	segura := start(t, 20)
	segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: 12}, seguratest.Gateway502(), 3)

	x := enable(t, settings{batch: 4, concurrency: 1}, "lists/some.csv", csv(9, 20))

	if got := reportOf(t, x); got.Rows != 12 || got.Changed+got.Unchanged != 12 || got.Failed != 0 || segura.CountFor(seguratest.KindEnable, 12) != 4 {
		t.Errorf("got %+v after %d calls for 12, want all rows after 4", got, segura.CountFor(seguratest.KindEnable, 12))
	}
}

func TestBulk_failsWhereABatchGoesOnFailingAndDoesTheRestWhenResumed(t *testing.T) {
	segura := start(t, 20)
	segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: 12}, seguratest.Gateway502(), 1<<30)
	aws.put(t, "lists/some.csv", csv(9, 20))
	machine := definition(t, settings{batch: 4, concurrency: 1, tolerated: 10})

	x := aws.execute(t, machine, input("lists/some.csv"))

	if x.Status != "FAILED" || x.Error != "States.ExceedToleratedFailureThreshold" {
		t.Fatalf("got %s %s %s", x.Status, x.Error, x.Cause)
	}
	before := segura.CountFor(seguratest.KindEnable, 20)
	stored := resultWith(t, x, `"identifier": "12"`)
	if stored.Failure.Error != "Segura.TransientError" {
		t.Errorf("got the result %+v, want what it failed with", stored)
	}

	// MiniStack has no redrive. What AWS documents of one is that the batch is
	// resumed at the Task that failed, with the input that it had.
	segura.ClearFaults()
	resumed := aws.execute(t, processor(t, machine, "SendAgainCsv"), string(stored.text))

	if got := reportOf(t, resumed); got.Rows != 4 || got.Changed+got.Unchanged != 4 || got.Failed != 0 {
		t.Errorf("resumed: got %+v of %s, want its 4 rows", got, resumed.Output)
	}
	if got := segura.CountFor(seguratest.KindEnable, 20); got != before {
		t.Errorf("got %d more calls for another batch's row", got-before)
	}
	if got := len(enabled(segura)); got != 12 {
		t.Errorf("got %d enabled, want all 12", got)
	}
}

func TestBulk_saysHowManyRowsOfToleratedBatchesItHasNotTried(t *testing.T) {
	segura := start(t, 20)
	segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: 12}, seguratest.Gateway502(), 1<<30)

	x := enable(t, settings{batch: 4, concurrency: 1, tolerated: 50}, "lists/some.csv", csv(9, 20))

	if got := reportOf(t, x); got.Rows != 12 || got.Changed != 8 || got.NotTried != 4 {
		t.Errorf("got %+v, want 8 of 12 rows, and 4 not tried", got)
	}
}

func TestBulk_succeedsWithAnEmptyList(t *testing.T) {
	segura := start(t, 9)
	for _, row := range []struct{ key, list string }{
		{"lists/empty.csv", "identifier\n"}, {"lists/nothing.csv", ""}, {"lists/empty.jsonl", ""},
	} {
		x := enable(t, usual, row.key, row.list)

		if got := reportOf(t, x); got.Rows != 0 || got.Changed+got.Unchanged+got.Failed+got.NotTried != 0 {
			t.Errorf("%s: got %+v, want nothing of nothing", row.key, got)
		}
	}
	if got := segura.Count(seguratest.KindEnable); got != 0 {
		t.Errorf("got %d calls", got)
	}
}

// One row that is not what it should be refuses its batch, of which nothing is sent.
func TestBulk_refusesABatchWithARowThatItCannotRead(t *testing.T) {
	segura := start(t, 9)
	for _, row := range []struct{ key, list, says string }{
		{"lists/column.csv", "id,owner\n5,x\n", "row 1 of the batch, Items[0]: it has no column identifier"},
		{"lists/case.csv", "Identifier\n5\n", "it has no column identifier"},
		{"lists/bom.csv", "\ufeffidentifier\n5\n", "it has no column identifier"},
		{"lists/blank.csv", "identifier,owner\n5,x\n,y\n", "row 2 of the batch, Items[1]: identifier is not a positive integer"},
		{"lists/space.csv", "identifier\n 5\n", "identifier is not a positive integer"},
		{"lists/text.csv", "identifier\n5\nfive\n", "row 2 of the batch"},
		{"lists/large.csv", "identifier\n9223372036854775808\n", "identifier is not a positive integer"},
		{"lists/rounded.jsonl", "{\"identifier\":5}\n{\"identifier\":9007199254740993}\n", "row 2 of the batch, Items[1]: identifier is a number above 9007199254740991"},
		{"lists/array.jsonl", "{\"identifier\":[5,9]}\n", "identifier is not a positive integer"},
		{"lists/column.jsonl", "{\"identifier\":5}\n{\"id\":9}\n", "row 2 of the batch, Items[1]: it has no column identifier"},
		{"lists/number.jsonl", "5\n", "it is not a JSON object"},
	} {
		x := enable(t, usual, row.key, row.list)

		if x.Status != "FAILED" || x.Error != "States.ExceedToleratedFailureThreshold" {
			t.Errorf("%s: got %s %s %s, want it failed", row.key, x.Status, x.Error, x.Output)
		}
		if stored := resultWith(t, x, ""); stored.Failure.Error != "Segura.InvalidRequest" || !strings.Contains(stored.Failure.Cause, row.says) {
			t.Errorf("%s: got the result %+v, want %q", row.key, stored.Failure, row.says)
		}
	}
	if got := segura.Count(seguratest.KindEnable); got != 0 {
		t.Errorf("got %d calls, want none", got)
	}
}

func TestBulk_roundsNoIdentifier(t *testing.T) {
	segura := start(t, 9)
	aws.put(t, "lists/large.csv", "identifier\n9007199254740993\n")
	aws.put(t, "lists/large.jsonl", "{\"identifier\":\"9007199254740993\"}\n{\"identifier\":9007199254740991}\n")
	for key, want := range map[string]string{"lists/large.csv": "[9007199254740993]", "lists/large.jsonl": "[9007199254740991 9007199254740993]"} {
		segura.Reset()

		x := aws.execute(t, definition(t, usual), input(key))

		if got := reportOf(t, x); got.Changed != got.Rows || fmt.Sprint(enabled(segura)) != want {
			t.Errorf("%s: got %+v with %v, want %s", key, got, enabled(segura), want)
		}
		if stored := resultWith(t, x, ""); !strings.Contains(string(stored.text), "9007199254740993, ") {
			t.Errorf("%s: got the result %s, want the identifier in it", key, stored.text)
		}
	}
}

func TestBulk_refusesAnInputThatItDoesNotUnderstand(t *testing.T) {
	segura := start(t, 9)
	aws.put(t, "lists/a.csv", "identifier\n5\n")
	for _, input := range []string{
		`[]`, `"lists/a.csv"`, `{}`, `{"action":"enable"}`, `{"key":"lists/a.csv"}`, `{"key":5,"action":"enable"}`,
		`{"key":"lists/a.csv","action":"delete"}`, `{"key":"lists/a.csv","Action":"disable","action":"enable"}`,
		`{"key":"results/a.csv","action":"enable"}`, `{"key":"lists/a.xml","action":"enable"}`, `{"key":"lists/.csv","action":"enable"}`,
		`{"key":"lists/a.csv","action":"enable","reason":1}`, `{"key":"lists/a.csv","action":"enable","reason":"` + strings.Repeat("x", 257) + `"}`,
	} {
		x := aws.execute(t, definition(t, usual), input)

		if x.Status != "FAILED" || x.Error != "Segura.InvalidRequest" {
			t.Errorf("%s: got %s %s %s, want it refused", input, x.Status, x.Error, x.Cause)
		}
	}
	x := aws.execute(t, definition(t, usual), input("lists/no-such.csv"))
	if x.Status != "FAILED" || x.Error != "States.ItemReaderFailed" {
		t.Errorf("no such list: got %s %s %s", x.Status, x.Error, x.Cause)
	}
	if got := segura.Count(seguratest.KindEnable); got != 0 {
		t.Errorf("got %d calls, want none", got)
	}
}

func TestBulk_worksOffBatchesAlikeWhereverTheRowsComeFrom(t *testing.T) {
	machine := definition(t, settings{})
	csv, lines := string(processor(t, machine, "SendCsv")), string(processor(t, machine, "SendJsonLines"))
	if got := strings.ReplaceAll(lines, "JsonLines", "Csv"); got != csv {
		t.Errorf("got %s, want %s", got, csv)
	}
}
