package secretsmanager

import (
	"encoding/json"
	"net"
	"net/http"
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
	SignatureMismatch Fault = "signature_mismatch"  // 400, echoes the session token
	ExpiredToken      Fault = "expired_token"       // 400
	InvalidToken      Fault = "invalid_token"       // 400
	Hang              Fault = "hang"                // no answer
	Reset             Fault = "reset"               // the connection is reset
	Garbage           Fault = "garbage"             // 200 that is not JSON
	NoValue           Fault = "no_value"            // 200 without SecretString and SecretBinary
	CutShort          Fault = "cut_short"           // 200 that ends in the middle
	GiantBody         Fault = "giant_body"          // 200 with a value of 16 MiB
)

// fault is a fault that is due.
type fault struct {
	kind  Fault         // empty: none but the delay
	times int           // still to come; below one: until cleared
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

// record keeps the record of a call and returns the fault that is due, which is
// used up.
func (s *Server) record(r Request) fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	if len(s.faults) == 0 {
		return fault{}
	}
	due := s.faults[0]
	if due.times--; due.times == 0 {
		s.faults = s.faults[1:]
	}
	return *due
}

// pause ends early with the call or the endpoint.
func pause(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// reply is an answer of AWS JSON 1.1.
type reply struct {
	status int
	body   string
}

func (a reply) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "b2f1d8a0-3c5e-4f6a-9d7b-000000000001")
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

func failure(status int, kind, message string) reply {
	body, _ := json.Marshal(map[string]string{"__type": kind, "Message": message}) // strings only
	return reply{status, string(body)}
}

// replies are what faults are answered with that are no matter of the connection.
var replies = map[Fault]reply{
	Throttling:    failure(400, "ThrottlingException", "Rate exceeded"),
	InternalError: failure(500, "InternalServiceError", "An error occurred on the server side."),
	Unavailable:   {503, ""},
	AccessDenied: failure(400, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/function-role/function is not authorized to perform: "+
		"secretsmanager:GetSecretValue on resource: segura because no identity-based policy allows the secretsmanager:GetSecretValue action"),
	KeyAccessDenied:   failure(400, "AccessDeniedException", "Access to KMS is not allowed"),
	ResourceNotFound:  failure(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
	MarkedForDeletion: failure(400, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."),
	DecryptionFailure: failure(400, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key."),
	ExpiredToken:      failure(400, "ExpiredTokenException", "The security token included in the request is expired"),
	InvalidToken:      failure(400, "UnrecognizedClientException", "The security token included in the request is invalid."),
	Garbage:           {200, "<html><body>It works!</body></html>"},
	NoValue:           {200, `{"ARN":"` + arn("segura") + `","Name":"segura","VersionStages":["AWSCURRENT"]}`},
	CutShort:          {200, `{"Name":"segura","SecretString":"{\"base_`},
}

func play(f Fault, w http.ResponseWriter, r *http.Request) {
	switch f {
	case Hang:
		pause(r, time.Hour)
	case Reset:
		reset(w)
	case SignatureMismatch: // AWS shows the canonical request, and so the signed headers in clear
		failure(400, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
			"The Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:"+r.Header.Get("X-Amz-Security-Token")+
			"'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n"+r.Header.Get("X-Amz-Date")+"'\n").send(w)
	case GiantBody:
		reply{200, `{"Name":"segura","SecretString":"` + strings.Repeat("x", 16<<20) + `"}`}.send(w)
	case CutShort:
		w.Header().Set("Content-Length", "1000")
		replies[f].send(w)
	default:
		replies[f].send(w)
	}
}

// reset ends the connection in a way that the client sees as a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
