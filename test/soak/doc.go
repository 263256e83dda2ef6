// Package soak holds the test of the compiled functions over a long time: mixed
// invocations, failures included, with the credentials and tokens changed under
// them, while memory, goroutines, threads and descriptors are watched from
// outside. It contains no other code.
//
// `make soak DURATION=30m` runs it and prints a table; go test runs it for a few
// seconds, so that it cannot rot, and compares nothing, since growth takes time to
// tell from a start.
package soak
