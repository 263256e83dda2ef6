// Command afternoon is what this function would be if it was written in an
// afternoon: the SDK and the OAuth client as their own documentation shows them,
// one call after another, no audit log, no metrics, no retries, no telling one
// failure from another. It is what ours is measured against, and for nothing else.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type request struct {
	Identifier  int64   `json:"identifier"`
	Identifiers []int64 `json:"identifiers"`
}

type result struct {
	Identifier int64  `json:"identifier"`
	Message    string `json:"message"`
}

type secret struct {
	BaseURL      string `json:"base_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

type function struct {
	secrets *secretsmanager.Client
	segura  *http.Client // nil before the first invocation
	baseURL string
}

func main() {
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	f := &function{secrets: secretsmanager.NewFromConfig(settings)}
	lambda.Start(f.handle)
}

func (f *function) handle(ctx context.Context, r request) ([]result, error) {
	if f.segura == nil {
		if err := f.connect(ctx); err != nil {
			return nil, err
		}
	}
	if r.Identifier != 0 {
		r.Identifiers = []int64{r.Identifier}
	}
	results := []result{}
	for _, identifier := range r.Identifiers {
		message, err := f.enable(ctx, identifier)
		if err != nil {
			return nil, err
		}
		log.Printf("enabled %d: %s", identifier, message)
		results = append(results, result{identifier, message})
	}
	return results, nil
}

func (f *function) connect(ctx context.Context) error {
	value, err := f.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(os.Getenv("SEGURA_SECRET_ID")),
	})
	if err != nil {
		return err
	}
	var s secret
	if err := json.Unmarshal([]byte(*value.SecretString), &s); err != nil {
		return err
	}
	credentials := clientcredentials.Config{
		ClientID:     s.ClientID,
		ClientSecret: s.ClientSecret,
		TokenURL:     s.BaseURL + "/api/oauth2/token",
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	f.baseURL, f.segura = s.BaseURL, credentials.Client(context.Background())
	return nil
}

func (f *function) enable(ctx context.Context, identifier int64) (string, error) {
	address := fmt.Sprintf("%s/api/mysafe/secretapi/active/%d", f.baseURL, identifier)
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
	if err != nil {
		return "", err
	}
	reply, err := f.segura.Do(call)
	if err != nil {
		return "", err
	}
	defer func() { _ = reply.Body.Close() }()
	var body struct {
		Response struct {
			Message string `json:"message"`
			Error   bool   `json:"error"`
		} `json:"response"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&body); err != nil {
		return "", err
	}
	if reply.StatusCode != http.StatusOK || body.Response.Error {
		return "", fmt.Errorf("segura: status %d: %s", reply.StatusCode, body.Response.Message)
	}
	return body.Response.Message, nil
}
