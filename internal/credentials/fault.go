package credentials

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"segura-enable/internal/apisecret"
)

// Sentences for callers: what happened and what the operator can do. The SDK's
// own are never passed on: one of them quotes the signed request, session token
// included.
const (
	sayThrottled = "Secrets Manager throttles the function or is out of order. Try again."
	sayNoNetwork = "Secrets Manager cannot be reached. Try again; if it persists, check the function's subnets, routes, security groups and VPC endpoint."
	sayDenied    = "The function's role may not read or decrypt the AWS secret. Allow secretsmanager:GetSecretValue on SEGURA_SECRET_ID (parameter SecretArn), and kms:Decrypt on its key."
	sayNotFound  = "There is no AWS secret of the name or ARN in SEGURA_SECRET_ID (parameter SecretArn) in this region. Check both."
	sayDeleted   = "The AWS secret is marked for deletion or has no current value. Restore it, or put a value into it."
	sayOther     = "The AWS secret cannot be read. Check SEGURA_SECRET_ID (parameter SecretArn), the region, the role and the key; the log has the cause."
)

// readFault judges an error of the SDK's. The second result is a word for the
// log. attemptFailed says whether an attempt failed on its own before ctx ended.
func readFault(ctx context.Context, err error, attemptFailed bool) (*apisecret.Error, string) {
	if code := apiErrorCode(err); code != "" {
		return apiFault(err, code), code
	}
	switch {
	case ctx.Err() != nil && !attemptFailed:
		return timeRanOut(), "context ended"
	case isNetworkFault(err) || ctx.Err() != nil:
		return unavailable(sayNoNetwork, true), "no connection"
	case status(err) >= 500 || status(err) == 429:
		return unavailable(sayThrottled, true), "HTTP status"
	default:
		return unavailable(sayOther, false), "no request or no readable reply"
	}
}

func apiFault(err error, code string) *apisecret.Error {
	if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled || status(err) >= 500 || status(err) == 429 {
		return unavailable(sayThrottled, true)
	}
	switch code {
	case "AccessDeniedException", "DecryptionFailure":
		return unavailable(sayDenied, false)
	case "ResourceNotFoundException":
		return unavailable(sayNotFound, false)
	case "InvalidRequestException":
		return unavailable(sayDeleted, false)
	default:
		return unavailable(sayOther, false)
	}
}

// apiErrorCode returns the name of an error that AWS answered with, in letters
// and digits and of bounded length; empty if it is none.
func apiErrorCode(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	code := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, api.ErrorCode())
	return code[:min(len(code), 64)]
}

// status returns the HTTP status that came with the error, or 0.
func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

func isNetworkFault(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		unsent      *smithyhttp.RequestSendError
		quota       ratelimit.QuotaExceededError
	)
	if errors.As(err, &certificate) {
		return false
	}
	return errors.As(err, &unsent) || errors.As(err, &quota) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func unavailable(message string, retryable bool) *apisecret.Error {
	e := apisecret.NewError(apisecret.CredentialsUnavailable, message)
	e.Retryable = retryable
	return e
}

// unusable is the fault of an AWS secret that was read but is no good. The error
// names a field and repeats no value.
func unusable(err error) *apisecret.Error {
	fault := unavailable("The AWS secret cannot be used: "+err.Error()+". Correct it in Secrets Manager.", false)
	fault.Cause = apisecret.SecretUnusable
	return fault
}

func timeRanOut() *apisecret.Error {
	return apisecret.NewError(apisecret.DeadlineExceeded, "The invocation's time ran out while the AWS secret was being read. Try again; if it persists, check the connection to Secrets Manager, or give the function a longer timeout.")
}
