// Package seguratest is a simulated Segura: a real HTTPS server on loopback,
// speaking HTTP/2 and HTTP/1.1 under a private CA and a base path, that keeps
// API secrets and passwords, issues tokens, words its replies as the vendor
// does, records what it was asked and misbehaves on demand.
//
// It serves the tests of other packages and the local stack alike, so it does
// not import testing. It imports none of the client's packages either, and its
// JSON is typed by hand from the vendor's pages: a wrong field name in the
// client must show here. It knows nothing of AWS but the field names of the
// secret that [Server.SecretJSON] writes.
//
// A test in three lines:
//
//	segura := seguratest.Start(t, seguratest.Options{})
//	segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: 5}, seguratest.Gateway502(), 1)
//	secret := segura.SecretJSON(nil)
package seguratest
