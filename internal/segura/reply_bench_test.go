package segura

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
)

// What is done with the reply to a call, the quoting of its text included.
func BenchmarkReply(b *testing.B) {
	client, err := New(Credentials{
		BaseURL: "https://segura.example.com/pam", ClientID: strings.Repeat("i", 32), ClientSecret: Hide(strings.Repeat("s", 48)),
	}, Options{AttemptTimeout: time.Second, Connections: 1})
	if err != nil {
		b.Fatal(err)
	}
	token := newToken(strings.Repeat("t", 700), 0)
	client.keep(token)
	for _, row := range []struct {
		name   string
		status int
		body   string
	}{
		{"enabled", 200, `{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false,"error_code":0,"detail":"","mensagem":"Api secret activated successfully","erro":false,"cod_erro":0}}`},
		{"not_found", 400, `{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true,"error_code":0,"detail":"","mensagem":"1005: Api secret not found","erro":true,"cod_erro":0},"exception":{"code":1005,"message":"Api secret not found","detail":null}}`},
		{"gateway", 502, "{\n  \"message\":\"An invalid response was received from the upstream server\",\n  \"request_id\":\"c68301a56463ee37394b609510cade69\"\n}"},
	} {
		b.Run(row.name, func(b *testing.B) {
			r := reply{status: row.status, header: http.Header{"X-Kong-Request-Id": {"c68301a56463ee37394b609510cade69"}}, body: []byte(row.body)}
			b.ReportAllocs()
			for b.Loop() {
				said := readContent(r.body)
				if message, _ := client.quote(r, said, token.texts); message == "" {
					b.Fatal("got no message")
				}
				_, _ = readCall(apisecret.Enable, 5, r, said)
			}
		})
	}
}
