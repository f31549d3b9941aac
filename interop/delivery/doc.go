// Package delivery holds the tests of the gateway with real Groonga servers, real
// agents and, for comparison, a real HAProxy.
package delivery
