// Package serf is what Serf adds above the membership machine: Lamport clocks,
// join and leave intents, tags, user events, queries, name conflicts, the
// coalescing of events, and network coordinates.
//
// It is pure, like swim, and owns a swim.Machine: the driver talks to this
// package only. A driver feeds inputs, acts on Output, and calls HandleTimeout
// when Deadline has come; see package swim for the rules.
package serf
