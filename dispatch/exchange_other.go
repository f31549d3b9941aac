//go:build !linux

package dispatch

import "errors"

// exchange is what this system has not.
func exchange(string, string) error { return errors.ErrUnsupported }
