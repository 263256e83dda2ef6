package httpapi

import (
	"testing"
	"time"

	"segura-enable/internal/apisecret"
)

// How each code looks over HTTP: the one table.
func TestProblemOf_hasAStatusForEveryCode(t *testing.T) {
	for code, status := range map[apisecret.Code]int{
		apisecret.NotFound: 404, apisecret.AccessDenied: 403, apisecret.NotAllowed: 403, apisecret.RateLimited: 503, apisecret.UpstreamTimeout: 504, apisecret.DeadlineExceeded: 504,
		apisecret.CredentialsUnavailable: 500, apisecret.InternalError: 500, apisecret.AuthenticationFailed: 502, apisecret.UpstreamError: 502, apisecret.UpstreamInvalidResponse: 502,
		apisecret.UpstreamUnreachable: 502, apisecret.UnexpectedResponse: 502, apisecret.InvalidRequest: 400, apisecret.WindowNotFound: 404, apisecret.WindowClosed: 409,
		apisecret.IdempotencyConflict: 409, apisecret.WindowsUnavailable: 503, "a_code_nobody_listed": 502,
	} {
		for after, want := range map[time.Duration]string{-1: "", 0: "5", 200 * time.Millisecond: "1", 1200 * time.Millisecond: "2", time.Minute: "60"} {
			failure := apisecret.NewError(code, "sentence")
			failure.Retryable, failure.RetryAfter = after >= 0, after

			got := ProblemOf(failure).render("id")

			if got.StatusCode != status || got.Headers["Retry-After"] != want {
				t.Errorf("%s, to be tried after %s: got %d with Retry-After %q, want %d with %q", code, after, got.StatusCode, got.Headers["Retry-After"], status, want)
			}
		}
	}
}

func TestRender_isWordedAsPromised(t *testing.T) {
	failure := apisecret.NewError(apisecret.NotFound, "No <such> API secret & no other.")
	failure.SeguraCode, failure.HTTPStatus, failure.UpstreamRequestID = 1005, 400, "kong"
	p := ProblemOf(failure)
	p.Identifier = apisecret.MaxIdentifier

	got := p.render("8f5d3b1c-0000-4000-8000-000000000001").Body

	want := `{"type":"urn:segura-enable:problem:not_found","title":"API secret not found","status":404,"detail":"No <such> API secret & no other.",` +
		`"instance":"urn:uuid:8f5d3b1c-0000-4000-8000-000000000001","code":"not_found","retryable":false,"identifier":9223372036854775807,"segura_code":1005}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
