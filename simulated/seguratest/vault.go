package seguratest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
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

// turned is what became of an attempt to change a state.
type turned int

const (
	changed turned = iota
	already
	missing
	forbidden
)

// vault keeps the API secrets and the passwords.
type vault struct {
	options Options

	mu         sync.Mutex
	apiSecrets map[int64]APISecret
	passwords  map[int64]bool
	enabled    []int64 // passwords, in the order of the calls
}

func newVault(o Options) *vault {
	v := &vault{options: o}
	v.options.APISecrets = maps.Clone(o.APISecrets)
	v.reset()
	return v
}

func (v *vault) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.apiSecrets = maps.Clone(v.options.APISecrets)
	v.passwords = map[int64]bool{}
	v.enabled = nil
}

// list is the reply of the page "GET | List all API secrets", in its types: an
// identifier is a string there, and a flag a boolean.
func (v *vault) list() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var entries []string
	for _, i := range slices.Sorted(maps.Keys(v.apiSecrets)) {
		if one := v.apiSecrets[i]; !one.Missing {
			entries = append(entries, fmt.Sprintf(`{"identifier":"%d","name":"API secret %d","need_justify":"0","need_approval":"0","can_view":true,"can_write":%t}`, i, i, !one.Forbidden))
		}
	}
	return `{"code":200,"response":{"status":200,"message":"","error":false,"error_code":0,"detail":"","mensagem":"","erro":false,"cod_erro":0},` +
		`"api_secret_on_list":[` + strings.Join(entries, ",") + `]}`
}

func (v *vault) turnAPISecret(identifier int64, active bool) turned {
	v.mu.Lock()
	defer v.mu.Unlock()
	state, known := v.apiSecrets[identifier]
	switch {
	case state.Missing, !known && !v.options.AnyIdentifier:
		return missing
	case state.Forbidden:
		return forbidden
	case state.Active == active:
		return already
	}
	state.Active = active
	v.apiSecrets[identifier] = state
	return changed
}

func (v *vault) turnPassword(number int64, active bool) turned {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.passwords[number] == active {
		return already
	}
	v.passwords[number] = active
	if active {
		v.enabled = append(v.enabled, number)
	}
	return changed
}

// States is a copy of the API secrets that the options named or that a call
// changed.
func (s *Server) States() map[int64]APISecret {
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	return maps.Clone(s.vault.apiSecrets)
}

// Active reports whether the API secret is active now.
func (s *Server) Active(identifier int64) bool {
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	return s.vault.apiSecrets[identifier].Active
}

// SetActive makes the API secret active or inactive, as somebody at Segura's
// screen does; one that was missing is there afterwards.
func (s *Server) SetActive(identifier int64, active bool) {
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	state := s.vault.apiSecrets[identifier]
	state.Active, state.Missing = active, false
	s.vault.apiSecrets[identifier] = state
}

// SetState replaces the state of an API secret.
func (s *Server) SetState(identifier int64, state APISecret) {
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	s.vault.apiSecrets[identifier] = state
}

// PasswordsEnabled are the numbers of the passwords that calls have enabled, in
// order. A client of API secrets enables none.
func (s *Server) PasswordsEnabled() []int64 {
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	return slices.Clone(s.vault.enabled)
}
