package segura_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

func TestList_readsWhatTheKeyMayEditInOddTypesToo(t *testing.T) {
	server, client := start(t, seguratest.Options{Referer: "https://referer.example.com/"})
	token := mustToken(t, client)
	server.Fail(seguratest.Match{Kind: seguratest.KindList}, seguratest.ReplyJSON(200, `{"code":200,"api_secret_on_list":[
		{"identifier":"3","name":"a","can_view":true,"can_write":true},{"identifier":4,"can_write":1},{"identifier":"5","can_write":"true"},{"identifier":"6","can_write":"0"},
		{"identifier":"7","can_view":true,"can_write":false},{"identifier":"8"},{"identifier":"9","can_write":null},
		{"identifier":"x","can_write":true},{"identifier":["1"],"can_write":true},{"name":"none"},{},null]}`), 1)

	odd, fault := client.List(t.Context(), token)
	usual, second := client.List(t.Context(), token)

	want := map[apisecret.Identifier]bool{3: true, 4: true, 5: true, 6: false, 7: false, 8: false, 9: false}
	if fault != nil || !maps.Equal(odd, want) {
		t.Errorf("got %v, %v; want %v", odd, fault, want)
	}
	if second != nil || len(usual) != 13 || !usual[5] || usual[8] {
		t.Errorf("the usual list: got %v, %v", usual, second)
	}
	got := server.Requests(seguratest.KindList)[0]
	if got.Method != "GET" || got.Path != "/pam/api/mysafe/secretapi" || got.Query != "" || got.Header.Get("Authorization") != "Bearer "+server.Tokens()[0] {
		t.Errorf("got %s %s?%s", got.Method, got.Path, got.Query)
	}
}

func TestList_readsNoMoreThanItsBound(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	entry := `{"identifier":"%d","name":"` + strings.Repeat("x", 1000) + `","can_write":true},`
	for megabytes, whole := range map[int]bool{15: true, 17: false} {
		var body strings.Builder
		body.WriteString(`{"api_secret_on_list":[`)
		n := 0
		for ; body.Len() < megabytes<<20; n++ {
			fmt.Fprintf(&body, entry, n+1)
		}
		body.WriteString(`{"identifier":"999999","can_write":true}]}`)
		server.Fail(seguratest.Match{Kind: seguratest.KindList}, seguratest.ReplyJSON(200, body.String()), 1)

		listed, fault := client.List(t.Context(), token)

		if (fault == nil) != whole || whole && len(listed) != n+1 {
			t.Errorf("%d MiB: got %d, %v", megabytes, len(listed), fault)
		}
	}
}

// A failed list is about no single API secret.
func TestList_speaksOfTheListInWhateverFaultItHas(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	for name, reply := range map[string]seguratest.Fault{
		"403": seguratest.GatewayForbiddenIP403(), "1005": seguratest.NotFound1005(), "1006": seguratest.AccessDenied1006(), "a page": seguratest.HTML(200),
	} {
		server.Fail(seguratest.Match{Kind: seguratest.KindList}, reply, 1)

		_, fault := client.List(t.Context(), token)

		if fault == nil || !strings.Contains(fault.Message, "the list of API secrets") {
			t.Errorf("%s: got %v, want a sentence about the list", name, fault)
		}
	}
}

// Where something else than HTTP answers, no sentence speaks of an API secret's state.
func TestClient_saysThatSomethingElseAnswers(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	server.Fail(seguratest.Match{}, seguratest.NotHTTP(), -1)

	connect := client.Connect(t.Context())
	_, list := client.List(t.Context(), token)
	_, fresh := client.FreshToken(t.Context())

	for want, fault := range map[string]*apisecret.Error{"does not speak HTTP": connect, "is not the list": list, "not with a token": fresh} {
		if fault == nil || fault.Code != apisecret.UnexpectedResponse || !strings.Contains(fault.Message, want) {
			t.Errorf("got %v, want a sentence with %q", fault, want)
		}
	}
}
