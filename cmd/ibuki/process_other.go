//go:build !unix

package main

import (
	"io"
	"time"
)

var processStart = time.Now()

// cpuTime is the time since the start: more than the processor time, if other
// work goes on.
func cpuTime() time.Duration { return time.Since(processStart) }

// firstProcess: there is no such thing.
func firstProcess([]string, io.Writer) (code int, done bool) { return 0, false }
