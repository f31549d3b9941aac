// Package agent is the daemon as a library: the one loop around serf.Machine,
// the UDP and TCP transport and its in-memory twin, event handlers, RPC
// backend, logging.
package agent
