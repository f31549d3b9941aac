//go:build !linux

package dispatch

import (
	"net"
	"time"
)

// dialTCP makes a connection.
func dialTCP(addr string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, timeout)
}

// dialWaits tells whether dialTCP waits until the connection is there.
func dialWaits(string) bool { return true }
