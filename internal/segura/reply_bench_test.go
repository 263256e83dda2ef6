package segura

import (
	"net/http"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

// What is done with the reply to a call, the quoting of its text included.
func BenchmarkReply(b *testing.B) {
	c := good()
	c.ClientID, c.ClientSecret = strings.Repeat("i", 32), Hide(strings.Repeat("s", 48))
	client, err := New(c, options())
	if err != nil {
		b.Fatal(err)
	}
	token := newToken(strings.Repeat("t", 700), 0)
	client.keep(token)
	for name, row := range map[string]struct {
		status int
		body   string
	}{
		"enabled":   {200, in(activated)},
		"not_found": {400, `{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true},"exception":{"code":1005,"message":"Api secret not found"}}`},
		"gateway":   {502, `{"message":"An invalid response was received from the upstream server","request_id":"c68301a56463ee37394b609510cade69"}`},
	} {
		b.Run(name, func(b *testing.B) {
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
