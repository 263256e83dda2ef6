package credentials_test

import (
	"encoding/json"
	"fmt"
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

// Of a secret whose fields are damaged as copies do: it is used if and only if nothing
// but what can be mended was done to it, with each value as it was before, and each
// field that was mended named. Otherwise the error names a field that was damaged, and
// repeats no value.
func FuzzParse_damage(f *testing.F) {
	whole := wholeFields(f)
	names := []string{"base_url", "token_url", "client_id", "client_secret", "tenant", "referer", "enable_path", "disable_path", "auth_style", "ca_certificate", "client_certificate", "client_key"}
	for seed := range uint64(200) {
		f.Add(seed, seed*7919)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		random := rand.New(rand.NewPCG(a, b)) //nolint:gosec // G404: to be repeated, not to be unguessable.
		clean, fields := map[string]string{}, map[string]any{}
		var done, mended, told []string
		for _, name := range names {
			if random.IntN(6) == 0 && !slices.Contains(names[:4], name) {
				continue
			}
			d := damaged(random, name, whole[name])
			clean[name], fields[name] = whole[name], d.value
			done = append(done, d.what)
			if d.mended {
				mended = append(mended, name)
			}
			if d.told {
				told = append(told, name)
			}
		}
		if (clean["client_certificate"] == "") != (clean["client_key"] == "") {
			done, told = append(done, "one of the pair is missing"), append(told, "client_certificate", "client_key")
		}
		document, _ := json.Marshal(fields) // a map of texts
		switch random.IntN(30) {
		case 0, 1, 2:
			document, mended = append([]byte("\ufeff"), document...), append([]string{"document"}, mended...)
		case 3:
			document, _ = json.Marshal(string(document))
			done, told = append(done, "encoded twice"), append(told, "document")
		}

		c, got, err := credentials.Parse(document)
		if err == nil {
			_, err = segura.New(c, segura.Options{Connections: 1})
		}

		slices.Sort(got)
		slices.Sort(mended)
		switch {
		case len(told) > 0 && (err == nil || !slices.ContainsFunc(told, func(name string) bool { return strings.Contains(err.Error(), name) })):
			t.Fatalf("%q: got %v, want an error that names one of %q", done, err, told)
		case err != nil && (len(told) == 0 || strings.Contains(err.Error(), "segura.example") || strings.Contains(err.Error(), "cret'")):
			t.Fatalf("%q: got the error %v, want one of %q and no value", done, err, told)
		case err == nil && (!slices.Equal(got, mended) || asUsed(c) != asUsed(credentialsOf(clean))):
			t.Fatalf("%q: got mended %q, want %q and each value as it was: %t", done, got, mended, asUsed(c) == asUsed(credentialsOf(clean)))
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
