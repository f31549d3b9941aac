// Package droonga lets clients of Droonga talk to the cluster: Droonga's message
// protocol in front of a dispatch.Doer.
//
// A message is a map (id, type, dataset, replyTo, timeout, body) that comes by
// Fluentd's forward protocol, msgpack over TCP, and the answer goes by the same
// protocol to the address in its replyTo, as a message of type TYPE.result.
// search, add and system.status are Droonga's own commands; select, load, delete
// and the schema commands are Groonga's, with Groonga's answers as bodies. What
// droonga-engine said is said here in its words; what differs is in docs/droonga.md.
package droonga
