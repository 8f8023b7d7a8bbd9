// Package harness runs Postroad as its users do: the built binary in a process of its
// own, its settings in the environment, its HTTP API from outside. The scenarios in
// test/NN-name and the benchmark stand on it.
package harness
