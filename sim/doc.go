// Package sim is a virtual cluster: the real machines (package serf) and the
// real encoder (package wire) on a virtual clock and a virtual network, in one
// goroutine. Nothing comes from the host: time is a counter, chance is a seeded
// generator, packets are byte slices in a heap. The same seed gives the same
// transcript, byte for byte.
//
// A Cluster is driven in three ways:
//
//   - by scripts (testdata/*.txt, see Script): conversations as text, one file
//     for each rule of the protocol, the transcript below each command;
//   - by seeds (Run): a seed draws a cluster, a mix of faults and a workload.
//     Checkers watch every step; then the network heals, and all views have to
//     agree with the truth within a bound;
//   - by the program: `ibuki sim -seed N` replays one seed.
//
// The checkers know nothing of the workload: they see steps, events and the
// machines' views, and hold for every run, scripts included.
package sim
