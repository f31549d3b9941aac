// Package swim is the membership and failure detection machine: SWIM with the
// Lifeguard extensions, as memberlist speaks it on the wire.
//
// It is pure. There is no goroutine, channel, mutex, socket, file, logger or
// clock in it: now is an argument of every input, randomness is one *rand.Rand
// handed in, and nothing visible depends on map order. The same inputs give the
// same outputs, bit for bit.
//
// # Use
//
// A driver feeds the inputs (HandlePacket, HandleStream, HandleDialed,
// HandleSendFailed, HandleTimeout and the commands), acts on Output after each
// of them, and calls HandleTimeout when Deadline has come. Late, early and
// repeated calls are harmless.
//
// The layer above (Serf) is an interface that the machine calls
// synchronously; its packets, broadcasts and state ride in the machine's.
package swim
