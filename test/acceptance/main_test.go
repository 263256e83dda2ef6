package acceptance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"segura-enable/simulated/stage"
)

// Words of the stage.
const (
	api        = stage.API
	event      = stage.Event
	secretName = stage.SecretName
	unset      = stage.Unset
)

// bootstraps are the compiled functions, by name.
var bootstraps map[string]string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	_ = flag.Set("test.parallel", "12") // they wait far more than they compute; what is given goes before
	flag.Parse()
	dir, err := os.MkdirTemp("", "acceptance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if bootstraps, err = stage.Build(context.Background(), dir, stage.BuildOptions{}, api, event); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
