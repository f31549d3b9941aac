package agent

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"
)

const (
	// metricsPacket is the longest packet to statsd, in bytes.
	metricsPacket = 1400
	// sinkLag is how many packets may wait for a server.
	sinkLag = 256
	// sinkPause is the time before a server is dialled again.
	sinkPause = 5 * time.Second
	// sinkTimeout bounds connecting and each write.
	sinkTimeout = 5 * time.Second
)

// metricSink sends lines to one server: statsd by UDP, statsite by TCP. It waits
// for nobody but the server, and what that does not take is counted as a fault.
type metricSink struct {
	network, addr string
	what          string // in log lines
	packets       chan []byte
	faults        *faults
}

// appendMetric appends a line of statsd's protocol, with digits as Serf has them.
func appendMetric(dst []byte, m *metric) []byte {
	dst = append(append(dst, m.name...), ':')
	dst = strconv.AppendFloat(dst, m.value, 'f', 6, 64)
	switch m.kind {
	case kindGauge:
		return append(dst, "|g\n"...)
	case kindCounter:
		return append(dst, "|c\n"...)
	}
	return append(dst, "|ms\n"...)
}

// packMetrics puts whole lines into as few packets as possible.
func packMetrics(list []metric) (packets [][]byte) {
	var p, line []byte
	for i := range list {
		line = appendMetric(line[:0], &list[i])
		if len(p) > 0 && len(p)+len(line) > metricsPacket {
			packets = append(packets, p)
			p = nil
		}
		p = append(p, line...)
	}
	if len(p) > 0 {
		packets = append(packets, p)
	}
	return packets
}

// send never waits.
func (s *metricSink) send(packets [][]byte) {
	for _, p := range packets {
		select {
		case s.packets <- p:
		default:
			s.faults.note(s.what, "queue-full", netip.AddrPort{}, nil)
		}
	}
}

// run writes until ctx ends and what was measured last is out.
func (s *metricSink) run(ctx context.Context) {
	for {
		err := s.connected(ctx)
		if ctx.Err() != nil {
			return
		}
		s.faults.note(s.what, "failed", netip.AddrPort{}, err)
		t := time.NewTimer(sinkPause)
		for waiting := true; waiting; {
			select {
			case <-s.packets: // old news are no use to anybody
			case <-t.C:
				waiting = false
			case <-ctx.Done():
				t.Stop()
				return
			}
		}
	}
}

// connected dials the server and writes until that fails or ctx ends.
func (s *metricSink) connected(ctx context.Context) error {
	d := net.Dialer{Timeout: sinkTimeout}
	conn, err := d.DialContext(ctx, s.network, s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		select {
		case p := <-s.packets:
			if s.network == "tcp" {
				p = s.more(p)
			}
			_ = conn.SetWriteDeadline(time.Now().Add(sinkTimeout))
			if _, err := conn.Write(p); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// more adds what else waits, for a stream has no packets.
func (s *metricSink) more(p []byte) []byte {
	b := bytes.NewBuffer(p)
	for n := len(s.packets); n > 0; n-- {
		b.Write(<-s.packets)
	}
	return b.Bytes()
}
