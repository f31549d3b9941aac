//go:build !linux

package transport

import "net"

// packetWaits cannot tell here. The reader's own queue is still looked at
// before timers are.
func packetWaits(*net.UDPConn) bool { return false }
