// Package dispatch delivers Groonga commands to the servers of a cluster.
//
// The catalog says which volumes there are and what belongs on which, the
// live-node list says which nodes answer; a Dispatcher puts the two together.
// Reads go to one live and complete replica of each slice and at once to
// another one if that fails or is late. Writes go to all replicas of the right
// slice; what a replica that is away has missed is kept on disk, in order,
// until it has it.
//
// Two things are never mixed up: an answer of Groonga with a return code other
// than 0 is an answer, and goes to the client as it is; a server that refuses,
// resets or is late has given no answer, and another one is asked.
package dispatch
