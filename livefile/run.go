package livefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// RunMax is how long the command of a target may run.
	RunMax = 30 * time.Second
	// runOutput is how much of its output is kept for the error, in bytes.
	runOutput = 1024
	// pipeGrace is how long output is waited for after the command has ended.
	pipeGrace = time.Second
)

// RunCommand runs the target's command, if it has one, with all that it starts in a
// process group of its own if ownGroup; that ends with ctx, or after RunMax.
func (t *Target) RunCommand(ctx context.Context, ownGroup bool) error {
	if t.Run == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, RunMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", t.Run)
	cmd.Env = append(os.Environ(), "IBUKI_LIST="+t.Path)
	cmd.WaitDelay = pipeGrace
	out := &head{}
	cmd.Stdout, cmd.Stderr = out, out
	if ownGroup {
		inOwnGroup(cmd)
	}
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return fmt.Errorf("command %q: %w: %s", t.Run, err, strings.TrimSpace(string(out.text)))
}

// head keeps the first runOutput bytes.
type head struct{ text []byte }

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), runOutput-len(h.text))]...)
	return len(p), nil
}
