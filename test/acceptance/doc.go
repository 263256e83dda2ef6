// Package acceptance holds the tests of the functions as they are deployed:
// compiled, started by a Lambda Runtime API and seen from outside only, with a
// simulated Segura behind TLS and a Secrets Manager endpoint. It contains no
// other code.
package acceptance
