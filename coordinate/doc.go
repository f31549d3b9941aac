// Package coordinate computes Vivaldi network coordinates, as Serf exchanges
// them in its acks: points whose distance estimates the round-trip time.
// It is pure.
package coordinate
