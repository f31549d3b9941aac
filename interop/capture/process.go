package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"os/exec"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// The addresses of the scenario with a process, on the loopback network.
const (
	listenerHost = "127.0.97.1"
	crashingHost = "127.0.97.2"
	processHost  = "127.0.97.3"
	processRPC   = processHost + ":7373"
)

// process has an agent of another version in a cluster with nodes of this
// process, which note what comes from it.
func process(n *network, program string) error {
	nodes := make([]*serf.Serf, 2)
	for i, host := range []string{listenerHost, crashingHost} {
		nd, err := startListener(n, []string{"a", "b"}[i], host)
		if err != nil {
			return err
		}
		defer func() { _ = nd.Shutdown() }()
		nodes[i] = nd
	}
	if _, err := nodes[1].Join([]string{listenerHost + ":7946"}, false); err != nil {
		return err
	}
	agent := exec.Command(program, "agent", "-node=old", "-bind="+processHost, "-rpc-addr="+processRPC, "-profile=local",
		"-tag", "role=old", "-tag", "zone=north", "-join="+listenerHost, "-event-handler=query:who=echo I am old")
	if err := agent.Start(); err != nil {
		return err
	}
	defer func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	}()
	time.Sleep(2 * time.Second)
	resp, err := nodes[0].Query("who", []byte("are you"), &serf.QueryParam{RequestAck: true, RelayFactor: 2, Timeout: time.Second})
	if err != nil {
		return err
	}
	for range resp.ResponseCh() {
	}
	for _, args := range [][]string{
		{"event", "my-event", "my-data"},
		{"event", "-coalesce=false", "deploy"},
		{"query", "-timeout=500ms", "-tag", "role=web.*", "-node", "a", "-relay-factor=1", "who", "are you"},
		{"tags", "-set", "zone=south"},
	} {
		cmd := exec.Command(program, append([]string{args[0], "-rpc-addr=" + processRPC}, args[1:]...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	time.Sleep(time.Second)
	_ = nodes[1].Shutdown() // a crash: it does not leave
	time.Sleep(8 * time.Second)
	out, err := exec.Command(program, "leave", "-rpc-addr="+processRPC).CombinedOutput()
	if err != nil {
		return fmt.Errorf("leave: %w: %s", err, out)
	}
	time.Sleep(time.Second)
	return nil
}

// startListener starts a node on a real network that notes what reaches it from the process.
func startListener(n *network, name, host string) (*serf.Serf, error) {
	quiet := log.New(io.Discard, "", 0)
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{host}, BindPort: port, Logger: quiet})
	if err != nil {
		return nil, err
	}
	l := &listener{NetTransport: inner, net: n, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn)}
	go l.pass()
	c := serf.DefaultConfig()
	c.Init()
	c.NodeName, c.Tags = name, map[string]string{"role": "web-" + name}
	c.MemberlistConfig = options{}.memberlistConfig(name, nil)
	c.MemberlistConfig.Transport = l
	c.MemberlistConfig.AdvertiseAddr, c.MemberlistConfig.BindAddr = host, host
	c.Logger, c.LogOutput = quiet, nil
	return serf.Create(c)
}

// listener notes what the process sends to a real transport.
type listener struct {
	*memberlist.NetTransport
	net     *network
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (l *listener) PacketCh() <-chan *memberlist.Packet { return l.packets }
func (l *listener) StreamCh() <-chan net.Conn           { return l.streams }

func (l *listener) pass() {
	go func() {
		for p := range l.NetTransport.PacketCh() {
			if host, _, _ := net.SplitHostPort(p.From.String()); host == processHost {
				l.net.note("packet", processHost, "", bytes.Clone(p.Buf))
			}
			l.packets <- p
		}
	}()
	for conn := range l.NetTransport.StreamCh() {
		l.streams <- &ear{Conn: conn, net: l.net, kind: "stream"}
	}
}

func (l *listener) DialTimeout(addr string, d time.Duration) (net.Conn, error) {
	return l.dialed(l.NetTransport.DialTimeout(addr, d))
}

func (l *listener) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	return l.dialed(l.NetTransport.DialAddressTimeout(a, d))
}

func (l *listener) dialed(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	l.net.own(conn.LocalAddr().String())
	if host, _, _ := net.SplitHostPort(conn.RemoteAddr().String()); host != processHost {
		return conn, nil
	}
	return &ear{Conn: conn, net: l.net, kind: "reply"}, nil
}

// ear notes what is read from a stream.
type ear struct {
	net.Conn
	net  *network
	kind string
	read []byte
}

func (e *ear) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	e.read = append(e.read, b[:n]...)
	return n, err
}

// Close notes what was read, unless it is a node of ours that opened the
// stream: the process's own streams come from any loopback address.
func (e *ear) Close() error {
	if len(e.read) > 0 && !e.net.owns(e.RemoteAddr().String()) {
		e.net.note(e.kind, processHost, "", e.read)
		e.read = nil
	}
	return e.Conn.Close()
}
