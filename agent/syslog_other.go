//go:build windows || plan9

package agent

import (
	"errors"
)

func openSyslog(int) (systemLog, error) { return nil, errors.New("Platform does not support syslog") }
