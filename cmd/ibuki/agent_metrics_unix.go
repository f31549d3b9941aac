//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// tellMetrics writes the metrics of the last minute to standard error at each
// SIGUSR1, as Serf does, until the returned function is called.
func (r *agentRun) tellMetrics() (stop func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			_ = r.agent.WriteMetrics(r.env.stderr)
		}
	}()
	return func() {
		signal.Stop(asked)
		close(asked)
	}
}
