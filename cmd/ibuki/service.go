package main

import (
	"context"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// What the host's service manager is told, if one started us (systemd, with
// Type=notify): ready, reloading, stopping, and as often as it asks for that we are
// still at work. Without one nothing is sent.

// tellService sends what has happened, and a line for people.
func tellService(state, status string) {
	lines := []string{state}
	if status != "" {
		lines = append(lines, "STATUS="+strings.ReplaceAll(status, "\n", " "))
	}
	if state == daemon.SdNotifyReloading {
		lines = append(lines, daemon.SdNotifyMonotonicUsec())
	}
	// An error means that the manager is gone; there is nobody to tell.
	_, _ = daemon.SdNotify(false, strings.TrimSpace(strings.Join(lines, "\n")))
}

// watchService tells the manager that we are at work, twice in the time after which
// it takes us for stuck, as long as check says so in time. The function that it
// returns ends that.
func watchService(check func(context.Context) error) (stop func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every / 2)
		defer tick.Stop()
		for {
			once, done := context.WithTimeout(ctx, every)
			if check(once) == nil {
				tellService(daemon.SdNotifyWatchdog, "")
			}
			done()
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}
