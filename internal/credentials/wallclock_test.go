package credentials

import (
	"strings"
	"testing"

	"segura-enable/internal/segura"
)

// Lambda freezes the process, and with it the monotonic clock, which would make
// an expired copy look fresh.
func TestClient_agesOnTheWallClock(t *testing.T) {
	source := &Source{Segura: segura.Options{Connections: 1}}

	_, fault := source.use(t.Context(), []byte(`{"base_url":"https://segura.example.com","client_id":"a","client_secret":"b"}`))

	if fault != nil {
		t.Fatal(fault)
	}
	if got := source.held().readAt.String(); strings.Contains(got, "m=") {
		t.Errorf("the copy was read at %s, which has a monotonic part", got)
	}
}
