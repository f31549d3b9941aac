//go:build windows || plan9

package logging

import (
	"errors"
)

func openSyslog(int) (systemLog, error) { return nil, errors.New("Platform does not support syslog") }
