//go:build !unix

package main

import "time"

var processStart = time.Now()

// cpuTime is the time since the start: more than the processor time, if other
// work goes on.
func cpuTime() time.Duration { return time.Since(processStart) }
