// Package activationtest is what stands behind a door, for tests of the doors and of
// the runner itself: a runner and the simulated Segura that it calls, with what they
// log at hand.
package activationtest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
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
func Start(t seguratest.TB, o seguratest.Options, function string, change ...func(*segura.Options)) *World {
	t.Helper()
	w := &World{Server: seguratest.Start(t, o), Audit: &stage.Buffer{}, Log: &stage.Buffer{}}
	w.Source = &Source{Gives: w.NewClient(t, change...)}
	w.Telemetry = telemetry.New(telemetry.Options{Out: w.Audit, Format: "JSON", Function: function})
	w.Logger = slog.New(slog.NewJSONHandler(w.Log, nil))
	w.Runner = &activation.Runner{Clients: w.Source, Concurrency: 4, Retry: segura.Retry{MaxAttempts: 1}, Telemetry: w.Telemetry, Log: w.Logger}
	return w
}

// NewClient returns a client with the credentials of the server as it is now.
func (w *World) NewClient(t seguratest.TB, change ...func(*segura.Options)) *segura.Client {
	t.Helper()
	o := segura.Options{UserAgent: "test", AttemptTimeout: 5 * time.Second, Retry: segura.Retry{MaxAttempts: 1}, Connections: 20}
	for _, f := range change {
		f(&o)
	}
	client, err := segura.New(segura.Credentials{
		BaseURL: w.URL(), ClientID: w.ClientID(), ClientSecret: segura.Hide(w.ClientSecret()), CACertificate: w.CACertificate(),
	}, o)
	if err != nil {
		t.Fatalf("make a client of the simulated Segura: %v", err)
		return nil
	}
	t.Cleanup(client.Close)
	return client
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

	Changed     *segura.Client   // what Reread finds in the place of Gives; may be nil
	RereadFault *apisecret.Error // of Reread alone

	mu      sync.Mutex
	asked   int
	rereads int
}

// Client implements [activation.ClientSource].
func (s *Source) Client(context.Context) (*segura.Client, *apisecret.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.give()
}

// Reread implements [activation.ClientSource].
func (s *Source) Reread(context.Context) (*segura.Client, *apisecret.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rereads++
	if s.RereadFault != nil {
		return nil, s.RereadFault
	}
	if s.Changed != nil {
		s.Gives = s.Changed
	}
	return s.give()
}

func (s *Source) give() (*segura.Client, *apisecret.Error) {
	if s.Before != nil {
		s.Before()
	}
	if s.Fault != nil {
		return nil, s.Fault
	}
	return s.Gives, nil
}

// Counts returns how often Client and Reread were called.
func (s *Source) Counts() (asked, rereads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.rereads
}
