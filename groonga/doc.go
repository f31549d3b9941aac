// Package groonga knows Groonga's command language: how commands are written, what they
// do to the data, how a load's records are read, in which forms answers are written, and
// how the answers of several servers that share the data become the one answer of a
// server that has all of it.
//
// It knows no servers: package dispatch finds and asks them.
package groonga
