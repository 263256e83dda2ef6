package httpapi

import (
	"cmp"
	"math"
	"net/http"
	"strconv"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// Problem is a body of application/problem+json (RFC 9457).
type Problem struct {
	Type       string               `json:"type"`
	Title      string               `json:"title"`
	Status     int                  `json:"status"`
	Detail     string               `json:"detail"`
	Instance   string               `json:"instance,omitempty"`
	Code       apisecret.Code       `json:"code"`
	Retryable  bool                 `json:"retryable"`
	Identifier apisecret.Identifier `json:"identifier,omitempty"`
	SeguraCode int                  `json:"segura_code,omitempty"`
	Window     string               `json:"window,omitempty"`

	retryAfter time.Duration
	allow      string
}

// typePrefix makes a problem's type a URI; the code is its last part.
const typePrefix = "urn:segura-enable:problem:"

// defaultRetryAfter is what a client is asked to wait where the upstream asked
// for nothing.
const defaultRetryAfter = 5 * time.Second

// answers says how each code looks over HTTP. A code that is not listed is a bad
// gateway.
var answers = map[apisecret.Code]struct {
	status int
	title  string
}{
	apisecret.NotFound:                {http.StatusNotFound, "API secret not found"},
	apisecret.AccessDenied:            {http.StatusForbidden, "Segura denies access"},
	apisecret.NotAllowed:              {http.StatusForbidden, "Identifier not allowed"},
	apisecret.RateLimited:             {http.StatusServiceUnavailable, "Segura limits the rate of requests"},
	apisecret.UpstreamTimeout:         {http.StatusGatewayTimeout, "Segura did not answer in time"},
	apisecret.DeadlineExceeded:        {http.StatusGatewayTimeout, "Time ran out"},
	apisecret.CredentialsUnavailable:  {http.StatusInternalServerError, "Segura credentials unavailable"},
	apisecret.InternalError:           {http.StatusInternalServerError, "Internal error"},
	apisecret.AuthenticationFailed:    {http.StatusBadGateway, "Segura refuses the credentials"},
	apisecret.UpstreamError:           {http.StatusBadGateway, "Segura failed"},
	apisecret.UpstreamInvalidResponse: {http.StatusBadGateway, "Invalid response from Segura"},
	apisecret.UpstreamUnreachable:     {http.StatusBadGateway, "Segura unreachable"},
	apisecret.UnexpectedResponse:      {http.StatusBadGateway, "Unexpected response from Segura"},
	apisecret.InvalidRequest:          {http.StatusBadRequest, "Bad Request"},
	apisecret.WindowNotFound:          {http.StatusNotFound, "Window not found"},
	apisecret.WindowClosed:            {http.StatusConflict, "Window closed"},
	apisecret.IdempotencyConflict:     {http.StatusConflict, "Idempotency-Key used with other content"},
	apisecret.WindowsUnavailable:      {http.StatusServiceUnavailable, "Windows unavailable"},
}

// ProblemOf returns the problem of a failure.
func ProblemOf(failure *apisecret.Error) *Problem {
	answer, ok := answers[failure.Code]
	if !ok {
		answer.status, answer.title = http.StatusBadGateway, "Segura could not be used"
	}
	p := &Problem{
		Title: answer.title, Status: answer.status, Detail: failure.Message,
		Code: failure.Code, Retryable: failure.Retryable, SeguraCode: failure.SeguraCode,
	}
	if p.Retryable {
		p.retryAfter = cmp.Or(failure.RetryAfter, defaultRetryAfter)
	}
	return p
}

// invalid returns the problem of a request that cannot be understood.
func invalid(status int, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Code: apisecret.InvalidRequest}
}

// render returns the problem as a response; id is the request's.
func (p *Problem) render(id string) Response {
	p.Type = typePrefix + string(p.Code)
	if id != "" {
		p.Instance = "urn:uuid:" + id
	}
	r := Response{StatusCode: p.Status, Headers: map[string]string{"Content-Type": "application/problem+json"}, Body: string(strictjson.Encode(p))}
	if p.retryAfter > 0 {
		r.Headers["Retry-After"] = strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds())))
	}
	if p.allow != "" {
		r.Headers["Allow"] = p.allow
	}
	return r
}
