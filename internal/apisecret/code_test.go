package apisecret_test

import (
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

func TestNewError_hasTheCodesUsualSentence(t *testing.T) {
	for _, code := range []apisecret.Code{
		apisecret.NotAllowed, apisecret.NotFound, apisecret.AccessDenied, apisecret.AuthenticationFailed, apisecret.RateLimited, apisecret.UpstreamError,
		apisecret.UpstreamInvalidResponse, apisecret.UpstreamTimeout, apisecret.UnexpectedResponse, apisecret.DeadlineExceeded, apisecret.InternalError,
	} {
		if got := apisecret.NewError(code, ""); got.Message == "" || got.Code != code {
			t.Errorf("%s: got %+v", code, got)
		}
	}
	if got := apisecret.NewError(apisecret.NotFound, "sentence"); got.Message != "sentence" || !strings.Contains(got.Error(), "not_found: sentence") {
		t.Errorf("with a sentence of its own: got %v", got)
	}
}
