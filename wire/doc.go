// Package wire turns bytes into messages of the memberlist and Serf gossip
// protocols and messages into bytes.
//
// It is pure: no socket, clock, goroutine or randomness (a nonce is an
// argument). Everything it reads is bounded by the limits in limits.go, and no
// allocation follows a length that the sender declared.
//
// # Shape
//
// A message is one type byte followed by an old-spec msgpack map (raw strings
// only: no str8, no bin). Every message type here is a struct with two methods:
//
//	AppendTo(dst []byte) []byte            // the type byte and the map
//	Decode(body []byte, in Interner) error // body is what follows the type byte
//
// Byte slices inside a decoded message alias the input; they are valid as long
// as the input is. Strings are produced by the Interner, so that decoding the
// names of known members allocates nothing. Unknown map keys are skipped, as the
// peers do; that is how extensions travel.
//
// # Framing, outside in
//
//	packet: [label header] [sealed] [CRC] message
//	stream: [label header] [sealed, with its length] message
//
// where message is a plain one, a compound of several, or a compressed one.
// Frame does the outer part (it needs keys and a nonce, so the driver calls
// it); Unpack does the inner part for packets.
package wire
