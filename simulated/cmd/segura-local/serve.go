package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// What is served besides the API: no API of the functions begins like this.
const (
	statesPath = "/_local/api-secrets"
	resetPath  = "/_local/reset"
)

// serve is the subcommand of that name.
func serve(ctx context.Context, args []string, t terminal) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	port := flags.Int("port", 3000, "`number` of the port to listen on; 0 is any free one")
	host := flags.String("host", "127.0.0.1", "`address` to listen on")
	logs := flags.Bool("logs", false, "show the function's log lines too")
	if err := parse(flags, args, 0, t); err != nil {
		return err
	}
	// First, so that a port that is taken is told before anything is compiled.
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(*host, strconv.Itoa(*port)))
	if err != nil {
		return fmt.Errorf("listen: %w (another port: -port, or make serve PORT=…)", err)
	}
	defer func() { _ = listener.Close() }()
	r := newRunner(t, *logs)
	defer r.end()
	if err := r.start(ctx, stage.API, stage.Window); err != nil {
		return err
	}
	s := &endpoint{runner: r, url: "http://" + listener.Addr().String()}
	s.introduce()
	var schedule sync.WaitGroup
	schedule.Go(func() { s.reconcile(ctx) })
	err = s.listen(ctx, listener)
	schedule.Wait()
	r.end()
	r.page.print("\nended; no process is left\n")
	return err
}

// reconcile is the schedule of windows. It says what it has changed.
func (s *endpoint) reconcile(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
		s.mu.Lock()
		x, err := s.stack.Send(ctx, stage.Window, []byte(`{"reconcile": true}`))
		s.mu.Unlock()
		if err == nil && len(x.Requests) > 0 {
			s.page.printf("%s  reconcile  %s\n", s.page.faint(time.Now().Format(time.TimeOnly)), printable(string(x.Invocation.Payload)))
		}
	}
}

// endpoint is the functions behind HTTP. One request at a time reaches them, as one Lambda
// environment takes them: so each line can say what Segura was asked for it.
type endpoint struct {
	*runner
	url string

	mu sync.Mutex
}

// listen serves until the context ends.
func (s *endpoint) listen(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
		_ = server.Close()
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	<-ended
	return nil
}

// ServeHTTP answers what is about the stack itself, and leaves the rest to the
// function.
func (s *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case statesPath:
		s.own(w, r, http.MethodGet, func() error { return nil })
	case resetPath:
		s.own(w, r, http.MethodPost, s.stack.Reset)
	default:
		gateway := stage.Gateway{Invoke: s.invoke}
		gateway.ServeHTTP(w, r)
	}
}

// own does something with the stack and answers with the states of the API
// secrets.
func (s *endpoint) own(w http.ResponseWriter, r *http.Request, method string, do func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	status, body := http.StatusOK, map[string]any{}
	if r.Method != method {
		w.Header().Set("Allow", method)
		status, body["message"] = http.StatusMethodNotAllowed, "Method Not Allowed"
	} else if err := do(); err != nil {
		status, body["message"] = http.StatusInternalServerError, err.Error()
	} else {
		states := s.stack.Segura.States()
		var all []any
		for _, identifier := range slices.Sorted(maps.Keys(states)) {
			all = append(all, map[string]any{"identifier": identifier, "state": stage.StateName(states[identifier])})
		}
		body["api_secrets"] = all
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
	s.line(r, status, "")
}

// invoke asks the function and writes the line of this request.
func (s *endpoint) invoke(r *http.Request, event []byte) (stage.Exchange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.stack.Send(r.Context(), stage.FunctionFor(event), event)
	if err != nil {
		s.line(r, http.StatusInternalServerError, err.Error())
		return x, err
	}
	answer, err := x.Answer()
	if err != nil {
		s.line(r, http.StatusInternalServerError, err.Error())
	} else {
		s.line(r, answer.Status, account(answer, x))
	}
	if s.logs {
		s.page.field("log", printable(strings.Join(x.Invocation.Logs, "\n")))
	}
	return x, nil
}

// account is the answer in a few words, and what it took.
func account(answer stage.Answer, x stage.Exchange) string {
	var words []string
	items := answer.Items()
	for i, item := range items {
		if i == 5 {
			words = append(words, fmt.Sprintf("… %d more", len(items)-i))
			break
		}
		words = append(words, item.String())
	}
	if answer.Problem != nil && len(words) == 0 {
		words = append(words, answer.Problem.Code+" "+answer.Problem.Detail)
	}
	return fmt.Sprintf("%s   %s, %s to Segura", strings.Join(words, ", "),
		milliseconds(x.Invocation.Duration), plural(len(x.Requests), "request"))
}

func (s *endpoint) line(r *http.Request, status int, text string) {
	p := s.page
	code := p.good(strconv.Itoa(status))
	if status >= http.StatusBadRequest {
		code = p.bad(strconv.Itoa(status))
	}
	p.print(strings.TrimRight(fmt.Sprintf("%s  %s %s  %s  %s", p.faint(time.Now().Format(time.TimeOnly)),
		printable(r.Method), printable(r.URL.EscapedPath()), code, printable(text)), " ") + "\n")
}

// introduce tells what there is and what to try.
func (s *endpoint) introduce() {
	p := s.page
	p.printf("\n%s is the API and the window function behind an HTTP API, until Ctrl-C\n\n", p.bold(s.url))
	p.field("exist", strings.Join(summary(s.stack.Segura.States()), "\n")+
		"\nno other does; above 999 none is allowed (SEGURA_ALLOWED_IDENTIFIERS="+stage.AllowedIdentifiers+")")
	p.print("\n")
	p.lines("try",
		"curl -X POST "+s.url+"/api-secrets/5/enable",
		"curl -X POST "+s.url+"/api-secrets/5/disable",
		"curl -X POST "+s.url+"/api-secrets/enable -H 'Content-Type: application/json' -d '{\"identifiers\": [5, 6, 7, 8]}'",
		"curl -X POST "+s.url+"/windows -H 'Content-Type: application/json' -d '{\"identifiers\": [5], \"for\": \"PT1M\"}'",
		"curl "+s.url+"/windows",
		"curl "+s.url+statesPath,
		"curl -X POST "+s.url+resetPath,
	)
	p.print("\n")
}

// summary is a line for each run of identifiers in the same state.
func summary(states map[int64]seguratest.APISecret) (lines []string) {
	meaning := map[string]string{"missing": "missing: Segura's 1005", "forbidden": "forbidden to the access key: Segura's 1006"}
	for left := slices.Sorted(maps.Keys(states)); len(left) > 0; {
		n, state := 1, stage.StateName(states[left[0]])
		for n < len(left) && left[n] == left[n-1]+1 && stage.StateName(states[left[n]]) == state {
			n++
		}
		span := strconv.FormatInt(left[0], 10)
		if n > 1 {
			span += "-" + strconv.FormatInt(left[n-1], 10)
		}
		lines = append(lines, fmt.Sprintf("%-8s %s", span, cmp.Or(meaning[state], state)))
		left = left[n:]
	}
	return lines
}
