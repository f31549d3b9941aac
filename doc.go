// Package ibuki holds no code. The program is in cmd/ibuki; the tests in this folder
// check the rules of the whole repository.
//
// # The packages, in the order to read them
//
// The protocol, pure:
//
//   - wire: bytes to messages and back.
//   - swim, swim/broadcast: membership and failure detection, and the broadcast queue.
//   - coordinate: network coordinates.
//   - serf: what Serf adds above swim; a driver uses this package only.
//   - sim: a virtual cluster over the pure machines.
//
// The agent:
//
//   - live, livefile: the live-node list as a value, and as a file.
//   - atomicfile: the one way to write a file.
//   - access: tokens, TLS and Unix sockets, for everything that listens.
//   - rpc: Serf's RPC protocol, client and server.
//   - agent: the daemon as a library, with agent/transport (sockets), agent/snapshot,
//     agent/handler (event handlers) and agent/logging.
//   - settings: what users may set of an agent, in flags, environment and files.
//   - dashboard: the HTTP API, metrics for Prometheus, and the page.
//
// Groonga clusters:
//
//   - catalog: which server has which data.
//   - groonga: Groonga's command language, and how answers are merged.
//   - sock: cheap TCP connections.
//   - dispatch: delivery of commands to the servers.
//   - writelog, writelog/store, writelog/applier, writelog/fill, writelog/member: the
//     replicated log of writes, on disk, applied to servers that are filled where it cannot
//     be, and its members.
//   - compare: whether servers hold the same; backup: the form of a backup.
//   - gateway, droonga: the two fronts, for clients of Groonga and of Droonga.
//
// The command:
//
//   - printable, terminal, plot: text of others made fit to be shown, tables, charts.
//   - diagnose, lab, top: what is wrong and why, clusters to break, a live view.
//   - cmd/ibuki: the command line.
//
// Packages for tests only: agent/transport/transporttest, groonga/groongatest,
// writelog/member/membertest, netns, logtest.
//
// ARCHITECTURE.md is the map, docs/protocol.md has the rules with their sources, and
// CONTRIBUTING.md the house rules and how each is checked.
package ibuki
