// Package acceptance holds the tests of the functions as they are deployed:
// compiled, started by a Lambda Runtime API and seen from outside only, with a
// simulated Segura behind TLS and a Secrets Manager endpoint. They prove what only a
// process shows, and one row of each table; the tables are in the packages' tests.
// It contains no other code.
package acceptance
