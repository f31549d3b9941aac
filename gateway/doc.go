// Package gateway is what clients of a Groonga cluster talk to: Groonga's own
// HTTP interface, in front of a dispatch.Dispatcher, and what gateways say to each
// other over it.
package gateway
