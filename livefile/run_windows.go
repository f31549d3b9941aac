package livefile

import "os/exec"

// inOwnGroup: here only the command itself is ended.
func inOwnGroup(*exec.Cmd) {}
