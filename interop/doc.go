// Package interop holds the tests and benchmarks that run ibuki side by side
// with the real Serf program. It is a module of its own so that Serf and what
// it pulls in stay out of ibuki's dependencies.
package interop
