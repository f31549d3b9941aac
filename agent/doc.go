// Package agent is the daemon as a library: New, Start, Stop. What else a program that
// has an agent inside needs is Live, Subscribe, UserEvent, Query, Respond, Join and Leave;
// docs/embedding.md says what of this package is stable.
//
// # The loop
//
// One goroutine (Agent.run in loop.go) owns the serf.Machine. It waits for a packet, a
// stream's message, a dial's result, a command or the deadline, reads the clock
// once, feeds the machine, and acts on its Output: log, live list, events, packets,
// dials, and at last the answers to commands, which so see their own effects.
//
// # What can wait has a queue of its own
//
//	sockets      readPackets and writePackets, packetQueue buffers each way, used again
//	streams      a goroutine each, at most Config.MaxStreams, and inboundBudget bytes
//	handlers     a goroutine for each command, handlerQueue events
//	RPC streams  streamLag events, monitorLag lines; whoever is slower loses the stream
//	log output   printLag lines; what is lost is counted and told
//	commands     closures over a channel; callers wait, the loop does not
//
// So nothing that a client, a handler, a disk or a terminal does or leaves
// undone holds up the loop, and every queue has a written limit.
//
// What comes from outside and cannot be used is counted by reason and named at
// most once a minute for each source (faults.go).
//
// # Tests
//
// transporttest.MemNet is the twin of the sockets: whole clusters run on it under virtual time
// (testing/synctest). Real sockets are used on loopback addresses only.
package agent
