package seguratest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// APISecret is the state of one API secret. The zero value is an inactive one
// that the access key may use.
type APISecret struct {
	// Active is what enable and disable change.
	Active bool
	// Forbidden answers with Segura's 1006.
	Forbidden bool
	// Missing answers with Segura's 1005, as an identifier does that is not
	// there at all; it is for servers with AnyIdentifier.
	Missing bool
}

// Sample is the set of API secrets of a server whose options name none: 5 and
// 100 to 109 inactive, 6 active, 7 missing, 8 forbidden.
func Sample() map[int64]APISecret {
	sample := map[int64]APISecret{
		5: {},
		6: {Active: true},
		7: {Missing: true},
		8: {Forbidden: true},
	}
	for identifier := int64(100); identifier < 110; identifier++ {
		sample[identifier] = APISecret{}
	}
	return sample
}

// turn enables or disables what a call is for, and returns what Segura says of it,
// and the code of an exception or 0.
func (s *Server) turn(r *Request) (message string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.generation.says(r.Kind)
	if r.Kind == KindPasswordEnable || r.Kind == KindPasswordDisable {
		return said.done, 0
	}
	state, known := s.apiSecrets[r.Identifier]
	switch {
	case state.Missing, !known && !s.options.AnyIdentifier:
		return messageNotFound, 1005
	case state.Forbidden:
		return messageNoAccess, 1006
	case state.Active == (r.Kind == KindEnable):
		return said.already, 0
	}
	state.Active = r.Kind == KindEnable
	s.apiSecrets[r.Identifier] = state
	return said.done, 0
}

// list is the reply of the page "GET | List all API secrets", in its types: an
// identifier is a string there, and a flag a boolean.
func (s *Server) list() string {
	var entries []string
	states := s.States()
	for _, i := range slices.Sorted(maps.Keys(states)) {
		if one := states[i]; !one.Missing {
			entries = append(entries, fmt.Sprintf(`{"identifier":"%d","name":"API secret %d","need_justify":"0","need_approval":"0","can_view":true,"can_write":%t}`, i, i, !one.Forbidden))
		}
	}
	return `{"code":200,"response":{"status":200,"message":"","error":false,"error_code":0,"detail":"","mensagem":"","erro":false,"cod_erro":0},` +
		`"api_secret_on_list":[` + strings.Join(entries, ",") + `]}`
}

// States is a copy of the API secrets that the options named or that a call
// changed.
func (s *Server) States() (states map[int64]APISecret) {
	s.locked(func() { states = maps.Clone(s.apiSecrets) })
	return states
}

// Active reports whether the API secret is active now.
func (s *Server) Active(identifier int64) (active bool) {
	s.locked(func() { active = s.apiSecrets[identifier].Active })
	return active
}

// SetActive makes the API secret active or inactive, as somebody at Segura's
// screen does; one that was missing or forbidden is not so afterwards.
func (s *Server) SetActive(identifier int64, active bool) {
	s.SetState(identifier, APISecret{Active: active})
}

// SetState replaces the state of an API secret.
func (s *Server) SetState(identifier int64, state APISecret) {
	s.locked(func() { s.apiSecrets[identifier] = state })
}

// PasswordsEnabled are the numbers of the passwords that calls were to enable, in
// order. A client of API secrets enables none.
func (s *Server) PasswordsEnabled() (numbers []int64) {
	for _, r := range s.Requests(KindPasswordEnable) {
		numbers = append(numbers, r.Identifier)
	}
	return numbers
}
