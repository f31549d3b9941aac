// Package rpc is Serf's RPC protocol, defined once: the types, the client and
// the server over a Backend.
//
// The protocol is a stream of msgpack values over TCP. A request is a header
// {Command, Seq} and, for most commands, a body; a reply is a header {Seq,
// Error} and, for some commands, a body, which comes with an error too. The
// commands stream, monitor and query are answered by a header and then by any
// number of header-and-record pairs with the same Seq. The first command of a
// connection is handshake, the second auth if the server has a key.
//
// Both sides read one value at a time into memory, against written limits,
// before they decode it: a declared length is never trusted, and half a value
// never reaches the decoder.
package rpc
