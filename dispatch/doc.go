// Package dispatch delivers Groonga commands to the servers of a cluster.
//
// The catalog says which volumes there are and what belongs on which, the
// live-node list says which nodes answer; a Dispatcher puts the two together.
// Reads go to one live and complete replica of each slice and at once to
// another one if that fails or is late. Writes go into a log that the gateways
// share, and from it, in one order, to all replicas of the right slice; a replica
// that was away gets what it missed before it is read from again.
//
// Two things are never mixed up: an answer of Groonga with a return code other
// than 0 is an answer, and goes to the client as it is; a server that refuses,
// resets or is late has given no answer, and another one is asked.
package dispatch
