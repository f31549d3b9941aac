package rpc

import (
	"context"
	"time"
)

// Restarter is a Backend that can tell the others that it restarts.
type Restarter interface {
	// RestartWindow tells them that this node may be away until d from now; 0: not any more.
	RestartWindow(d time.Duration) error
}

type restartRequest struct{ Window time.Duration }

const cmdRestart = "ibuki-restart-window"

func serveRestart(r *request) error {
	var req restartRequest
	err := r.decode(&req)
	b, ok := r.s.backend.(Restarter)
	switch {
	case err != nil:
	case !ok:
		err = ErrUnsupportedCommand
	default:
		err = b.RestartWindow(req.Window)
	}
	return r.answer(err, nil)
}

// RestartWindow has the agent tell the others that it may be away until d from now;
// 0: not any more. An agent of Serf's does not know the command, and ends the connection.
func (c *Client) RestartWindow(ctx context.Context, d time.Duration) error {
	return c.do(ctx, cmdRestart, &restartRequest{Window: d}, nil)
}
