// Package rpc is Serf's RPC protocol, defined once: the types, the client and
// the server over a Backend.
package rpc
