// Package coordinate computes Vivaldi network coordinates, as Serf exchanges
// them in its acks: points whose distance estimates the round-trip time between
// two nodes that never measured it.
//
// It is pure: randomness is handed in and nothing reads a clock. The rules are
// statements P120 to P129 of docs/protocol.md; given the same observations, the
// numbers are those of Serf's own package, so that mixed clusters agree.
//
// # Memory
//
// An Update allocates nothing once a node is known. Therefore the Coordinate
// that Get and Update return shares its Vec with the Client: it is valid until
// the next Update or Set, and Clone makes one to keep.
package coordinate
