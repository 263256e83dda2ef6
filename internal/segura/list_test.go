package segura

import (
	"maps"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

var lists = seguratest.Match{Kind: seguratest.KindList}

func TestList_readsWhatTheKeyMayEditInOddTypesToo(t *testing.T) {
	s := begin(t, seguratest.Options{Referer: "https://referer.example.com/"})
	s.Fail(lists, seguratest.ReplyJSON(200, `{"code":200,"api_secret_on_list":[
		{"identifier":"3","name":"a","can_view":true,"can_write":true},{"identifier":4,"can_write":1},{"identifier":"5","can_write":"true"},{"identifier":"6","can_write":"0"},
		{"identifier":"7","can_view":true,"can_write":false},{"identifier":"8"},{"identifier":"9","can_write":null},
		{"identifier":"x","can_write":true},{"identifier":["1"],"can_write":true},{"name":"none"},{},null]}`), 1)

	odd, fault := s.client.List(t.Context(), s.token)
	usual, second := s.client.List(t.Context(), s.token)

	want := map[apisecret.Identifier]bool{3: true, 4: true, 5: true, 6: false, 7: false, 8: false, 9: false}
	if fault != nil || !maps.Equal(odd, want) {
		t.Errorf("got %v, %v; want %v", odd, fault, want)
	}
	if second != nil || len(usual) != 13 || !usual[5] || usual[8] {
		t.Errorf("the usual list: got %v, %v", usual, second)
	}
	got := s.Requests(seguratest.KindList)[0]
	if got.Method != "GET" || got.Path != "/pam/api/mysafe/secretapi" || got.Query != "" || got.Header.Get("Authorization") != "Bearer "+s.Tokens()[0] {
		t.Errorf("got %s %s?%s", got.Method, got.Path, got.Query)
	}
}

func TestList_readsNoMoreThanItsBound(t *testing.T) {
	s := begin(t, seguratest.Options{})
	megabyte := strings.Repeat(`{"identifier":"1","name":"`+strings.Repeat("x", 1<<16)+`","can_write":true},`, 16)
	for megabytes, whole := range map[int]bool{15: true, 16: false} {
		s.Fail(lists, seguratest.ReplyJSON(200, `{"api_secret_on_list":[`+strings.Repeat(megabyte, megabytes)+`{"identifier":"2","can_write":true}]}`), 1)

		listed, fault := s.client.List(t.Context(), s.token)

		if (fault == nil) != whole || whole && !maps.Equal(listed, map[apisecret.Identifier]bool{1: true, 2: true}) {
			t.Errorf("%d MiB: got %v, %v", megabytes, listed, fault)
		}
	}
}

// A failed list is about no single API secret, and where something else than HTTP
// answers, no sentence speaks of an API secret's state.
func TestClient_saysWhatTheFaultIsAbout(t *testing.T) {
	s := begin(t, seguratest.Options{})
	list := func() *apisecret.Error { _, fault := s.client.List(t.Context(), s.token); return fault }
	connect := func() *apisecret.Error { return s.client.Connect(t.Context()) }
	token := func() *apisecret.Error { _, fault := s.client.FreshToken(t.Context()); return fault }
	json := func(body string) seguratest.Fault { return seguratest.ReplyJSON(200, body) }
	for _, row := range []struct {
		call    func() *apisecret.Error
		says    string
		replies []seguratest.Fault
	}{
		{list, "denies the list of API secrets", []seguratest.Fault{seguratest.GatewayForbiddenIP403(), seguratest.AccessDenied1006()}},
		{list, "is not the list of API secrets", []seguratest.Fault{
			seguratest.NotFound1005(), seguratest.HTML(200), seguratest.NotHTTP(), seguratest.ReplyJSON(202, `{"api_secret_on_list":[]}`), json(`[]`),
			json(`{"a":{"api_secret_on_list":[]}}`), json(`{"api_secret_on_list":{}}`), json(`{"a":1}`), json(`{"api_secret_on_list":[5]}`),
		}},
		{list, "reply", []seguratest.Fault{json(`{"api_secret_on_list":[]`), seguratest.CutShort()}},
		{connect, "does not speak HTTP", []seguratest.Fault{seguratest.NotHTTP()}},
		{token, "not with a token", []seguratest.Fault{seguratest.NotHTTP()}},
	} {
		for at, reply := range row.replies {
			s.ClearFaults()
			s.Fail(seguratest.Match{}, reply, 1)

			fault := row.call()

			if fault == nil || !strings.Contains(fault.Message, row.says) {
				t.Errorf("%s, the %d. reply: got %v, want a sentence with %q", reply, at+1, fault, row.says)
			}
		}
	}
}
