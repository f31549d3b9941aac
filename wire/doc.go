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
// What AppendTo writes is what the peers write, byte for byte: their order of
// fields, their choice of number forms, nil where a slice is nil. Decode reads
// all that peers may write, and as leniently as they do: the newer string and
// binary forms, numbers of any width, an array in place of the map, nil for
// anything, keys that are missing or unknown. Unknown keys are skipped; that is
// how extensions travel.
//
// Byte slices inside a decoded message alias the input; they are valid as long
// as the input is. Strings are produced by the Interner, so that decoding the
// names of known members allocates nothing. Decode overwrites the message as a
// whole, but uses the slices in it again (Query.Filters, KeyResponse.Keys,
// Coordinate.Vec, those of SerfState): copy what is to outlive the next one.
//
// # Framing, outside in
//
//	packet: [label] [sealed] [checksum] message
//	stream: [label] [sealed, with its length] message
//	reply:          [sealed, with its length] message
//
// where message is a plain one, a compound of several, or a compressed one, and
// a reply is what comes back on a stream that the other side has opened.
// Frame does the outer part (it needs keys and a nonce, so the driver calls
// it); Unpacker does the inner part for packets, Frame.ReadStream all of it for
// streams.
//
// # Errors
//
// Input gives one of the errors of errors.go, to be counted by its Reason, and
// never a panic. Panics are for bugs of the caller: a compound of more than it can
// hold, a label or a nonce of an impossible length.
package wire
