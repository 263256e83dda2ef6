package event_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/activation"
	"segura-enable/internal/event"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
	"segura-enable/test/activationtest"
)

// The whole path of an event, from its bytes to the result's, with real calls over
// TLS. What the server at the other end costs is part of every figure.
func BenchmarkDoor_Invoke(b *testing.B) {
	door := benchDoor(b)
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var list strings.Builder
			for i := range size {
				fmt.Fprintf(&list, ",%d", i+1)
			}
			payload := []byte(`{"identifiers": [` + list.String()[1:] + `], "reason": "CHG0012345"}`)
			ctx := lambdacontext.NewContext(b.Context(), &lambdacontext.LambdaContext{AwsRequestID: requestID})
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := door.Invoke(ctx, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchDoor is a door before a server that does next to nothing.
func benchDoor(b *testing.B) *event.Handler {
	b.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := `{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false,"error_code":0,"detail":"","mensagem":"Api secret activated successfully","erro":false,"cod_erro":0}}`
		if strings.HasSuffix(r.URL.Path, "/token") {
			body = `{"token_type":"Bearer","expires_in":3600,"access_token":"` + strings.Repeat("t", 700) + `"}`
		}
		w.Header().Set("X-Kong-Request-Id", "c68301a56463ee37394b609510cade69")
		_, _ = io.WriteString(w, body)
	}))
	b.Cleanup(server.Close)
	client, err := segura.New(segura.Credentials{
		BaseURL: server.URL, ClientID: "client", ClientSecret: segura.Hide("client-secret"),
		CACertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	}, segura.Options{UserAgent: "bench", AttemptTimeout: time.Minute, Connections: 9})
	if err != nil {
		b.Fatal(err)
	}
	t := telemetry.New(telemetry.Options{Out: io.Discard, Format: "JSON", Function: "EventFunction"})
	discard := slog.New(slog.DiscardHandler)
	return &event.Handler{
		Runner:    &activation.Runner{Clients: &activationtest.Source{Gives: client}, Concurrency: 8, Telemetry: t, Log: discard},
		Telemetry: t, Log: discard,
	}
}
