// Package chaos holds the tests of the functions among faults: compiled, started
// by a Lambda Runtime API, with random faults at every edge at once, and judged
// by what the simulated Segura and Secrets Manager recorded. What a particular
// fault must lead to is for package acceptance; here, whatever happens, nothing
// is lost, invented, leaked or overrun. It contains no other code.
//
// A world is one function with its surroundings, and everything random in it
// comes from one number, its seed. `make chaos` runs world after world;
// `make chaos SEED=n INVOCATIONS=1` runs the one world of that seed again. The
// order in which things happen at once is the machine's, so a rare failure may
// take several repeats to show itself again. go test runs a few fixed worlds.
//
// No invariant depends on how fast the machine is. A process is not ended at its
// deadline; by how much a reply is late is held against how long the machine kept
// the function, this process and a clock of its own waiting meanwhile, and what
// that explains is counted as excused. A world that excuses much proves little.
package chaos
