package credentials_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/credentials"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

func oneOf[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// wholeFields are the fields of a secret that nothing is amiss in.
func wholeFields(f *testing.F) map[string]string {
	server := seguratest.Start(f, seguratest.Options{})
	certificate, key := server.ClientCertificate()
	return map[string]string{
		"base_url": "https://segura.example.com/pam", "token_url": "https://segura.example.com:8443/t/token", "client_id": "4b7e-id!~", "client_secret": "s3 cret'\"&=%",
		"tenant": "acme S.A. «ção»", "referer": "https://referer.example.com/", "enable_path": "/api/x/{identifier}/on", "disable_path": "/api/x/{identifier}/off", "auth_style": "basic",
		"ca_certificate": server.CACertificate() + server.CACertificate(), "client_certificate": certificate, "client_key": key,
	}
}

// What a copy puts into a value, or around it.
var (
	spaces    = []string{" ", "\n", "\r\n", "\t ", "\u00a0", "\u2028", "\u3000", "\v\f", "\u0085"}
	invisible = []string{"\u200b", "\ufeff", "\u2060", "\u00ad", "\u200e", "\x00", "\x7f"}
	quotes    = [][2]string{{`"`, `"`}, {"'", "'"}, {"“", "”"}, {"‘", "’"}, {"„", "“"}, {"”", "”"}}
)

// damage is one value as a copy left it.
type damage struct {
	value, what  string // what was done to it
	mended, told bool   // which of the two is to come of it; neither where it hurts nobody
}

func damaged(random *rand.Rand, name, value string) damage {
	pem, trimmed, space := strings.Contains(value, "-----BEGIN"), strings.TrimSpace(value), oneOf(random, spaces...)
	switch kind := random.IntN(20); {
	case kind < 3:
		return damage{space + value, fmt.Sprintf("%s begins with %q", name, space), true, false}
	case kind < 5:
		return damage{value + space, fmt.Sprintf("%s ends with %q", name, space), !pem || strings.Trim(space, "\r\n") != "", false}
	case kind < 7 && pem:
		flat := oneOf(random, " ", "", `\n`, `\r\n`, "\u00a0", " \t ")
		return damage{strings.ReplaceAll(trimmed, "\n", flat), fmt.Sprintf("%s has %q for line breaks", name, flat), true, false}
	case kind == 7 && pem:
		return damage{strings.ReplaceAll(value, "\n", "\r\n"), name + " has CRLF", false, false}
	case kind == 8:
		q := oneOf(random, quotes...)
		return damage{oneOf(random, "", " ", "\n") + q[0] + trimmed + q[1] + oneOf(random, "", "\r\n"), name + " inside " + q[0] + q[1], false, true}
	case kind == 9 && !pem:
		sign, signs := oneOf(random, invisible...), []rune(value)
		at := random.IntN(len(signs) + 1)
		return damage{string(signs[:at]) + sign + string(signs[at:]), fmt.Sprintf("%s has %q at %d", name, sign, at), false, true}
	case kind == 10 && strings.HasPrefix(value, "https://"):
		return damage{value[:10] + space + value[10:], fmt.Sprintf("%s has %q inside", name, space), false, true}
	case kind == 11 && pem:
		return damage{value[:len(value)-40], name + " is cut", false, true}
	case kind == 12 && pem:
		return damage{strings.Replace(value, "M", "*", 1), name + " is no base64", false, true}
	default:
		return damage{value: value}
	}
}

// damagedSecret is a document and what is to come of it.
type damagedSecret struct {
	document           []byte
	clean              map[string]string // the fields, as they were
	done, mended, told []string
}

func damageSecret(random *rand.Rand, whole map[string]string) (s damagedSecret) {
	fields := map[string]any{}
	s.clean = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		if random.IntN(6) == 0 && name != "base_url" && name != "client_id" && name != "client_secret" {
			continue
		}
		d := damaged(random, name, whole[name])
		s.clean[name], fields[name] = whole[name], d.value
		s.done = append(s.done, d.what)
		if d.mended {
			s.mended = append(s.mended, name)
		}
		if d.told {
			s.told = append(s.told, name)
		}
	}
	if (s.clean["client_certificate"] == "") != (s.clean["client_key"] == "") {
		s.done, s.told = append(s.done, "one of the pair is missing"), append(s.told, "client_certificate", "client_key")
	}
	s.document, _ = json.Marshal(fields) // a map of texts
	switch random.IntN(30) {
	case 0, 1, 2:
		s.document, s.mended = append([]byte("\ufeff"), s.document...), append(s.mended, "document")
	case 3:
		s.document, _ = json.Marshal(string(s.document))
		s.done, s.told = append(s.done, "encoded twice"), append(s.told, "document")
	}
	return s
}

// Of a secret whose fields are damaged as copies do: it is used if and only if nothing
// but what can be mended was done to it, with each value as it was before, and each
// field that was mended named. Otherwise the error names a field that was damaged, and
// repeats no value.
func FuzzParse_damage(f *testing.F) {
	whole := wholeFields(f)
	for seed := range uint64(200) {
		f.Add(seed, seed*7919)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		s := damageSecret(rand.New(rand.NewPCG(a, b)), whole)

		d, err := credentials.Parse(s.document)
		c, got := d.Credentials, d.Mended
		if err == nil {
			_, err = segura.New(c, segura.Options{Connections: 1})
		}

		slices.Sort(got)
		slices.Sort(s.mended)
		switch {
		case len(s.told) > 0 && (err == nil || !slices.ContainsFunc(s.told, func(name string) bool { return strings.Contains(err.Error(), name) })):
			t.Fatalf("%q: got %v, want an error that names one of %q", s.done, err, s.told)
		case err != nil && (len(s.told) == 0 || strings.Contains(err.Error(), "segura.example") || strings.Contains(err.Error(), "cret'")):
			t.Fatalf("%q: got the error %v, want one of %q and no value", s.done, err, s.told)
		case err == nil && (!slices.Equal(got, s.mended) || asUsed(c) != asUsed(credentialsOf(s.clean))):
			t.Fatalf("%q: got mended %q, want %q and each value as it was: %t", s.done, got, s.mended, asUsed(c) == asUsed(credentialsOf(s.clean)))
		}
	})
}

// asUsed is all that is made of credentials; of PEM only what its blocks hold.
func asUsed(c segura.Credentials) string {
	c.CACertificate, c.ClientCertificate, c.ClientKey = inBase64(c.CACertificate), inBase64(c.ClientCertificate), segura.Hide(inBase64(c.ClientKey.Reveal()))
	return fmt.Sprintf("%x", c.Digest())
}

func credentialsOf(fields map[string]string) segura.Credentials {
	return segura.Credentials{
		BaseURL: fields["base_url"], TokenURL: fields["token_url"], ClientID: fields["client_id"], ClientSecret: segura.Hide(fields["client_secret"]),
		Tenant: fields["tenant"], Referer: fields["referer"], EnablePath: fields["enable_path"], DisablePath: fields["disable_path"], AuthStyle: segura.AuthStyle(fields["auth_style"]),
		CACertificate: fields["ca_certificate"], ClientCertificate: fields["client_certificate"], ClientKey: segura.Hide(fields["client_key"]),
	}
}
