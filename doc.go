// Package ibuki holds no code: it is the door. The program is in cmd/ibuki, and
// the tests in this folder check the rules of the whole repository.
//
// # The packages, in the order to read them
//
//   - wire: bytes to messages and back.
//   - swim: the membership and failure detection machine. Pure.
//   - serf: what Serf adds above it; the driver talks to this one. Pure.
//   - coordinate: network coordinates. Pure.
//   - live: the live-node list, the answer as a value.
//   - sim: a virtual cluster over the pure machines.
//   - rpc: Serf's RPC protocol.
//   - agent: the daemon: one loop, sockets, event handlers.
//   - lab, top, diagnose: clusters to break, a live view, what is wrong and why.
//   - cmd/ibuki: the command line.
//
// ARCHITECTURE.md is the map, docs/protocol.md the rules with their sources, and
// CONTRIBUTING.md the house rules with how each is checked.
package ibuki
