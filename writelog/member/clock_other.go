//go:build !linux

package member

import "time"

func sinceBoot() time.Duration { return sinceStart() }
