package secretsmanager

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"
	"time"
)

// Fault is what goes wrong with a call.
type Fault string

// The faults. Those that AWS words are worded as AWS words them.
const (
	Throttling        Fault = "throttling"          // 400
	InternalError     Fault = "internal_error"      // 500
	Unavailable       Fault = "unavailable"         // 503, without a document
	AccessDenied      Fault = "access_denied"       // 400, names the caller and the secret
	KeyAccessDenied   Fault = "key_access_denied"   // 400, of the KMS key
	ResourceNotFound  Fault = "resource_not_found"  // 400
	MarkedForDeletion Fault = "marked_for_deletion" // 400
	DecryptionFailure Fault = "decryption_failure"  // 400
	SignatureMismatch Fault = "signature_mismatch"  // 400, echoes signed headers, the session token among them
	ExpiredToken      Fault = "expired_token"       // 400
	InvalidToken      Fault = "invalid_token"       // 400
	Hang              Fault = "hang"                // no answer
	Reset             Fault = "reset"               // the connection is reset
	Garbage           Fault = "garbage"             // 200 that is not JSON
	NoValue           Fault = "no_value"            // 200 without SecretString and SecretBinary
	CutShort          Fault = "cut_short"           // 200 that ends in the middle
	GiantBody         Fault = "giant_body"          // 200 with a value of 16 MiB
)

const giantSize = 16 << 20

// fault is a fault that is due.
type fault struct {
	kind  Fault
	times int           // still to come; below zero: until cleared
	delay time.Duration // before the answer
}

// Fail makes the next calls fail, after earlier faults have been played; times
// below one means until ClearFaults.
func (s *Server) Fail(kind Fault, times int) { s.enqueue(&fault{kind: kind, times: times}) }

// Delay makes the next calls wait before they are answered; times below one
// means until ClearFaults.
func (s *Server) Delay(delay time.Duration, times int) {
	s.enqueue(&fault{delay: delay, times: times})
}

func (s *Server) enqueue(f *fault) {
	if f.times < 1 {
		f.times = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// ClearFaults forgets all faults that are due.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// exchange is one call and its answer.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	fault  Fault
	number int // its place in the records
	status int
}

// begin records the call and takes the fault that is due.
func (x *exchange) begin(secretID string) {
	s := x.server
	s.mu.Lock()
	var due *fault
	if len(s.faults) > 0 {
		due = s.faults[0]
		if due.times--; due.times == 0 {
			s.faults = s.faults[1:]
		}
	}
	record := Request{Time: time.Now(), Target: x.r.Header.Get("X-Amz-Target"), SecretID: secretID, Header: x.r.Header.Clone()}
	if due != nil {
		record.Fault = due.kind
	}
	s.requests = append(s.requests, record)
	x.number = len(s.requests) - 1
	s.mu.Unlock()
	if due == nil {
		return
	}
	x.fault = due.kind
	x.wait(due.delay)
}

func (x *exchange) end() {
	s := x.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.number < len(s.requests) { // else there was a Reset
		s.requests[x.number].Status = x.status
	}
}

// wait ends early with the call or the endpoint.
func (x *exchange) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
	case <-x.server.closing:
	}
}

func (x *exchange) reply(status int, body []byte) {
	x.status = status
	x.w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	x.w.Header().Set("X-Amzn-Requestid", fmt.Sprintf("b2f1d8a0-3c5e-4f6a-9d7b-%012d", x.number+1))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
}

// fail answers with an error of AWS JSON 1.1.
func (x *exchange) fail(status int, kind, message string) {
	document := map[string]string{"__type": kind}
	if message != "" {
		document["Message"] = message
	}
	body, _ := json.Marshal(document) // strings only
	x.reply(status, body)
}

// worded are the errors of AWS, by fault.
var worded = map[Fault]struct {
	status        int
	kind, message string
}{
	Throttling:    {400, "ThrottlingException", "Rate exceeded"},
	InternalError: {500, "InternalServiceError", "An error occurred on the server side."},
	AccessDenied: {400, "AccessDeniedException", "User: arn:aws:sts::" + account + ":assumed-role/function-role/function is not authorized " +
		"to perform: secretsmanager:GetSecretValue on resource: segura because no identity-based policy allows the secretsmanager:GetSecretValue action"},
	KeyAccessDenied:   {400, "AccessDeniedException", "Access to KMS is not allowed"},
	ResourceNotFound:  {400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."},
	MarkedForDeletion: {400, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."},
	DecryptionFailure: {400, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key."},
	ExpiredToken:      {400, "ExpiredTokenException", "The security token included in the request is expired"},
	InvalidToken:      {400, "UnrecognizedClientException", "The security token included in the request is invalid."},
}

func (x *exchange) play(f Fault) {
	if e, ok := worded[f]; ok {
		x.fail(e.status, e.kind, e.message)
		return
	}
	switch f {
	case Unavailable:
		x.reply(http.StatusServiceUnavailable, nil)
	case SignatureMismatch:
		x.fail(http.StatusBadRequest, "InvalidSignatureException", x.signatureText())
	case Hang:
		x.wait(time.Hour)
	case Reset:
		x.reset()
	case Garbage:
		x.reply(http.StatusOK, []byte("<html><body>It works!</body></html>"))
	case NoValue:
		x.reply(http.StatusOK, []byte(`{"ARN":"`+arn("segura")+`","Name":"segura","VersionStages":["AWSCURRENT"]}`))
	case CutShort:
		x.w.Header().Set("Content-Length", "1000")
		x.reply(http.StatusOK, []byte(`{"Name":"segura","SecretString":"{\"base_`))
	case GiantBody:
		x.reply(http.StatusOK, []byte(`{"Name":"segura","SecretString":"`))
		block := strings.Repeat("x", 1<<16)
		for range giantSize >> 16 {
			if _, err := io.WriteString(x.w, block); err != nil {
				return
			}
		}
		_, _ = io.WriteString(x.w, `"}`)
	}
}

// signatureText is how AWS explains a signature that does not match: with the
// canonical request, which holds the signed headers in clear.
func (x *exchange) signatureText() string {
	_, after, _ := strings.Cut(x.r.Header.Get("Authorization"), "SignedHeaders=")
	signed, _, _ := strings.Cut(after, ",")
	names := strings.Split(signed, ";")
	sort.Strings(names)
	var canonical strings.Builder
	for _, name := range names {
		value := strings.Join(x.r.Header.Values(name), ",")
		if name == "host" {
			value = x.r.Host
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, value)
	}
	return "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n" +
		"The Canonical String for this request should have been\n'POST\n/\n\n" + canonical.String() + "\n" + signed + "\n" +
		strings.Repeat("0", 64) + "'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n" + x.r.Header.Get("X-Amz-Date") + "'\n"
}

// reset ends the connection in a way that the client sees as a reset.
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
