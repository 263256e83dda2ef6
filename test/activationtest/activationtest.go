// Package activationtest is what stands behind a door, for tests of the doors: a
// runner and the simulated Segura that it calls, with what they log at hand.
package activationtest

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// World is a runner, the simulated Segura that it calls, and what it logs.
type World struct {
	*seguratest.Server
	Runner    *activation.Runner
	Source    *Source
	Telemetry *telemetry.Telemetry
	Logger    *slog.Logger

	Audit *stage.Buffer // audit and metric lines
	Log   *stage.Buffer // all other lines
}

// Start starts one for the function of the name, and ends it with the test.
func Start(t seguratest.TB, o seguratest.Options, function string) *World {
	t.Helper()
	server := seguratest.Start(t, o)
	client, err := segura.New(segura.Credentials{
		BaseURL: server.URL(), ClientID: server.ClientID(), ClientSecret: segura.Hide(server.ClientSecret()), CACertificate: server.CACertificate(),
	}, segura.Options{UserAgent: "test", AttemptTimeout: 5 * time.Second, Retry: segura.Retry{MaxAttempts: 1}, Connections: 10})
	if err != nil {
		t.Fatalf("make a client of the simulated Segura: %v", err)
		return nil
	}
	t.Cleanup(client.Close)
	w := &World{Server: server, Source: &Source{Gives: client}, Audit: &stage.Buffer{}, Log: &stage.Buffer{}}
	w.Telemetry = telemetry.New(telemetry.Options{Out: w.Audit, Format: "JSON", Function: function})
	w.Logger = slog.New(slog.NewJSONHandler(w.Log, nil))
	w.Runner = &activation.Runner{Clients: w.Source, Concurrency: 4, Retry: segura.Retry{MaxAttempts: 1}, Telemetry: w.Telemetry, Log: w.Logger}
	return w
}

// Calls are the calls that enable and disable, in their order, as kind/identifier.
func (w *World) Calls() string {
	var all []string
	for _, request := range w.Requests() {
		if request.Kind != seguratest.KindToken && request.Kind != seguratest.KindHead {
			all = append(all, string(request.Kind)+"/"+apisecret.Identifier(request.Identifier).String())
		}
	}
	return strings.Join(all, " ")
}

// Source is an [activation.ClientSource] that gives one client, or fails.
type Source struct {
	Gives  *segura.Client
	Fault  *apisecret.Error
	Before func() // what each call does first; may be nil
}

// Client implements [activation.ClientSource].
func (s *Source) Client(context.Context) (*segura.Client, *apisecret.Error) {
	if s.Before != nil {
		s.Before()
	}
	return s.Gives, s.Fault
}

// Reread implements [activation.ClientSource].
func (s *Source) Reread(ctx context.Context) (*segura.Client, *apisecret.Error) { return s.Client(ctx) }
