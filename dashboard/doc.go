// Package dashboard is an agent's way in for people and programs of today: an
// HTTP API in JSON, a stream of what happens, and metrics.
//
// It runs beside the agent and reaches it through the interface Agent alone.
// Everything that a client can make it do is bounded: requests by number, size
// and time, streams by number and by what one may be behind. A client that does
// not read costs a connection, for a while.
package dashboard
