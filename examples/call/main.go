// Command call calls the API, signed with Signature Version 4:
//
//	API_URL=https://… go run ./examples/call /api-secrets/5/enable '{"reason": "CHG0012345"}'
//
// Credentials and region come from where the AWS SDK finds them. It ends with 75 where
// the same call may be repeated, and with 1 where that is no use.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

const (
	timeout      = 30 * time.Second
	exitFailed   = 1
	exitTempFail = 75 // EX_TEMPFAIL of sysexits.h
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	retryable, err := run(ctx, append(os.Args[1:], "", "")[:2], os.Stdout)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	if retryable {
		os.Exit(exitTempFail) //nolint:forbidigo,gocritic // this is main
	}
	os.Exit(exitFailed) //nolint:forbidigo // this is main
}

// fault is a problem, and an item's error in a result.
type fault struct {
	Code      string
	Retryable bool
}

// run sends the body to the path and writes the answer. It says whether a failure is
// worth another try; that there is none is no error.
func run(ctx context.Context, args []string, out io.Writer) (retryable bool, err error) {
	reply, err := send(ctx, os.Getenv("API_URL")+args[0], args[1])
	if err != nil {
		return true, err
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return true, err
	}
	_, _ = fmt.Fprintf(out, "%s\n", text)
	var answer struct {
		fault
		Results []struct{ Error *fault }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return false, fmt.Errorf("%s: %w", reply.Status, err)
	}
	var failed []fault
	if answer.Code != "" {
		failed = append(failed, answer.fault)
	}
	for _, item := range answer.Results {
		if item.Error != nil {
			failed = append(failed, *item.Error)
		}
	}
	if len(failed) == 0 {
		return false, nil
	}
	return slices.ContainsFunc(failed, func(f fault) bool { return f.Retryable }), errors.New(failed[0].Code)
}

func send(ctx context.Context, url, body string) (*http.Response, error) {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	credentials, err := settings.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256([]byte(body))
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "execute-api", settings.Region, time.Now())
	if err != nil {
		return nil, err
	}
	return (&http.Client{}).Do(request)
}
