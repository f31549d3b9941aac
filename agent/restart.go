package agent

import (
	"fmt"
	"time"
)

// RestartWindow tells the others that this node may be away until d from now: those
// that are native tell no failure of it before. 0 takes that back. (P240)
func (a *Agent) RestartWindow(d time.Duration) error {
	err := a.doErr(func(now time.Time) error { return a.machine.AnnounceRestart(now, d) })
	switch {
	case err != nil:
		return err
	case d > 0:
		a.logger.Info(fmt.Sprintf("agent: Announced a restart within %v", d))
	default:
		a.logger.Info("agent: Cancelled the announced restart")
	}
	a.restartBy.Store(time.Now().Add(d).UnixNano())
	return nil
}

// Restarting reports whether a restart was announced and its time is not over: the
// process may end without a leave.
func (a *Agent) Restarting() bool { return time.Now().UnixNano() < a.restartBy.Load() }

// verdict is why a member failed, for lists and streams. That it had announced it counts
// most: whoever looks is to see that nothing is wrong.
func verdict(text string, restarting bool) string {
	if restarting {
		return "restarting"
	}
	return text
}
