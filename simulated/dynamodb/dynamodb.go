// Package dynamodb is a DynamoDB endpoint on one machine: minidyn's, in memory, behind
// a judge that is as strict as DynamoDB where minidyn is kind. It serves short pages,
// answers a read that does not ask for consistency from a copy that lags behind,
// refuses what is too large, and fails as it is told to.
package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/truora/minidyn/server"
)

// Options say what to start.
type Options struct {
	Address string // empty: any free port of 127.0.0.1
}

const table = "windows"

// DynamoDB's limits.
const (
	pageItems       = 3 // far fewer than DynamoDB's 1 MB, so that every reader has to go on
	maxItem         = 400 << 10
	headerTimeout   = 5 * time.Second
	jsonContentType = "application/x-amz-json-1.0"
)

// Fault is what becomes of a request.
type Fault int

// The faults.
const (
	None      Fault = iota
	Refused         // it is answered with a 500 and has no effect
	Throttled       // it is answered as throttled and has no effect
	Unheard         // it has its effect, and is answered with a 500
)

// Server is a running endpoint. Its methods may be called at once.
type Server struct {
	http    *http.Server
	address string
	served  chan struct{}

	mu       sync.Mutex
	tables   http.Handler
	lagging  http.Handler
	late     []*request                            // writes that the copy has not seen yet
	answered map[string]*httptest.ResponseRecorder // transactions, by their tokens
	requests []string
	page     int
	fault    func(operation string) Fault
}

// request is one call of the API.
type request struct {
	operation string
	body      []byte
}

// Start starts an endpoint with one table, whose keys are the texts pk and sk. It runs
// until Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	s := &Server{tables: server.NewServer(), lagging: server.NewServer(), page: pageItems, answered: map[string]*httptest.ResponseRecorder{}, served: make(chan struct{})}
	if err := s.createTable(); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Address, err)
	}
	s.address = listener.Addr().String()
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTimeout}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // the error is always that of our own Close
	}()
	return s, nil
}

func (s *Server) createTable() error {
	body := fmt.Sprintf(`{"TableName":%q,"BillingMode":"PAY_PER_REQUEST",`+
		`"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"S"}],`+
		`"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}]}`, table)
	for _, one := range []http.Handler{s.tables, s.lagging} {
		if answer := send(one, &request{"CreateTable", []byte(body)}); answer.Code != http.StatusOK {
			return fmt.Errorf("create the table: %s", answer.Body)
		}
	}
	return nil
}

// URL is where the endpoint is found.
func (s *Server) URL() string { return "http://" + s.address }

// Table is the table's name.
func (s *Server) Table() string { return table }

// Close ends the endpoint.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Requests are the operations asked for so far, in their order.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// SetPage sets how many items a page has at most. There are few unless a test has many.
func (s *Server) SetPage(items int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page = items
}

// FailWith has every request judged by a function of its operation; nil: none fails.
func (s *Server) FailWith(fault func(operation string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, operation)
	fault := None
	if s.fault != nil {
		fault = s.fault(operation)
	}
	answer := s.answer(&request{operation, body}, fault)
	w.Header().Set("Content-Type", jsonContentType)
	w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(answer.Body.Bytes())))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// answer is called with the lock held.
func (s *Server) answer(r *request, fault Fault) *httptest.ResponseRecorder {
	switch fault {
	case Refused:
		return failure(http.StatusInternalServerError, "InternalServerError", "refused as asked for")
	case Throttled:
		return failure(http.StatusBadRequest, "ProvisionedThroughputExceededException", "throttled as asked for")
	}
	asked, why := judge(r, s.page)
	if why != "" {
		return failure(http.StatusBadRequest, "ValidationException", why)
	}
	switch {
	case !isRead(r.operation):
		s.late = append(s.late, asked)
	case !isConsistent(asked.body):
		s.catchUp()
		return send(s.lagging, asked)
	}
	answer := s.send(asked)
	if fault == Unheard {
		return failure(http.StatusInternalServerError, "InternalServerError", "not heard, as asked for")
	}
	return answer
}

// send has a request answered. A transaction that succeeded and is repeated, as its token
// says, succeeds without another effect.
func (s *Server) send(r *request) *httptest.ResponseRecorder {
	var asked struct{ ClientRequestToken string }
	_ = json.Unmarshal(r.body, &asked) // it is the JSON of judge
	if known := s.answered[asked.ClientRequestToken]; known != nil {
		return known
	}
	answer := send(s.tables, r)
	if asked.ClientRequestToken != "" && answer.Code == http.StatusOK {
		s.answered[asked.ClientRequestToken] = answer
	}
	return answer
}

// catchUp lets the copy see all writes but the last.
func (s *Server) catchUp() {
	for len(s.late) > 1 {
		send(s.lagging, s.late[0])
		s.late = s.late[1:]
	}
}

func isRead(operation string) bool {
	return operation == "GetItem" || operation == "Query"
}

func isConsistent(body []byte) bool {
	var asked struct{ ConsistentRead bool }
	return json.Unmarshal(body, &asked) == nil && asked.ConsistentRead
}

// judge returns the request with a short page, or why DynamoDB would refuse it.
func judge(r *request, page int) (*request, string) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, "not JSON: " + err.Error()
	}
	if r.operation == "Query" {
		limit, ok := fields["Limit"].(json.Number)
		if n, err := limit.Int64(); !ok || err != nil || n > int64(page) {
			fields["Limit"] = json.Number(fmt.Sprint(page))
		}
	}
	items := []any{fields["Item"]}
	if list, ok := fields["TransactItems"].([]any); ok {
		for _, one := range list {
			if parts, ok := one.(map[string]any); ok {
				put, _ := parts["Put"].(map[string]any)
				items = append(items, put["Item"])
			}
		}
	}
	for _, one := range items {
		if text, err := json.Marshal(one); err == nil && len(text) > maxItem {
			return nil, fmt.Sprintf("an item of %d bytes", len(text))
		}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err.Error()
	}
	return &request{r.operation, body}, ""
}

func send(to http.Handler, r *request) *httptest.ResponseRecorder {
	asked := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", bytes.NewReader(r.body))
	asked.Header.Set("X-Amz-Target", "DynamoDB_20120810."+r.operation)
	answer := httptest.NewRecorder()
	to.ServeHTTP(answer, asked)
	return answer
}

func failure(status int, kind, message string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	answer.WriteHeader(status)
	_, _ = fmt.Fprintf(answer, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, kind, message)
	return answer
}
