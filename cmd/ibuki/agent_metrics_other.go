//go:build !unix

package main

// tellMetrics: there is no signal to ask with.
func (r *agentRun) tellMetrics() (stop func()) { return func() {} }
