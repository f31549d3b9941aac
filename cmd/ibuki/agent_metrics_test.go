//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGUSR1 asks for the metrics of the last minute, in Serf's form; before there
// are any, nothing happens.
func TestAgentTellsMetrics(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until ten seconds are over")
	}
	t.Parallel()
	p := startAgent(t, "n")
	const want = "][C] 'serf-agent.serf.member.join': Count: 1 Sum: 1.000 LastUpdated: "
	for end := time.Now().Add(time.Minute); !strings.Contains(p.output(), want); time.Sleep(500 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not say %q:\n%s", want, p.output())
		}
		_ = p.Process.Signal(syscall.SIGUSR1)
	}
	if want := "][G] 'serf-agent.runtime.num_goroutines': "; !strings.Contains(p.output(), want) {
		t.Errorf("did not say %q:\n%s", want, p.output())
	}
	p.wantMembers(t, "n alive")
}
