package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
)

const (
	gossipPort = 7946 // Serf's own
	rpcPort    = 7373 // Serf's own
	httpPort   = 8080
	firstHost  = 50  // the mission's node0 is 192.168.100.50
	MaxNodes   = 100 // hosts .50 to .149 of one block
)

// place is where one node of the dev cluster lives.
type place struct {
	host string
	port int
	rpc  int
	http int
}

func (p place) bind() string    { return net.JoinHostPort(p.host, strconv.Itoa(p.port)) }
func (p place) rpcAddr() string { return net.JoinHostPort(p.host, strconv.Itoa(p.rpc)) }

// httpAddr is where the node's dashboard is.
func (p place) httpAddr() string { return net.JoinHostPort(p.host, strconv.Itoa(p.http)) }

// target is what a person would type to join this node: the port only where it
// is not Serf's own.
func (p place) target() string {
	if p.port == gossipPort {
		return p.host
	}
	return p.bind()
}

// findPlaces finds room for n nodes. Where all of 127.0.0.0/8 is loopback (Linux)
// each node gets an address of its own, 127.0.X.50 onwards, and Serf's own ports,
// as on the mission's three hosts. Where only 127.0.0.1 exists (macOS), or those
// ports are taken, the nodes differ by their ports. What hold keeps is a
// reservation against a second dev cluster; close it when the cluster is gone.
func findPlaces(n int) (places []place, hold io.Closer, err error) {
	for i := range 200 {
		block := 100 + (i % 150)
		places, hold, err = placesInBlock(block, n)
		if err == nil {
			return places, hold, nil
		}
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			break
		}
	}
	places, err = placesByPort(n)
	return places, io.NopCloser(nil), err
}

// placesInBlock takes 127.0.block.50 and following, or fails.
func placesInBlock(block, n int) ([]place, io.Closer, error) {
	lock, err := net.Listen("tcp", fmt.Sprintf("127.0.%d.%d:%d", block, firstHost-1, gossipPort))
	if err != nil {
		return nil, nil, err
	}
	places := make([]place, n)
	for i := range places {
		p := place{host: fmt.Sprintf("127.0.%d.%d", block, firstHost+i), port: gossipPort, rpc: rpcPort, http: httpPort}
		if err := p.free(); err != nil {
			lock.Close()
			return nil, nil, err
		}
		places[i] = p
	}
	return places, lock, nil
}

// free reports why the place cannot be used.
func (p place) free() error {
	u, err := net.ListenPacket("udp", p.bind())
	if err != nil {
		return err
	}
	u.Close()
	for _, addr := range []string{p.bind(), p.rpcAddr(), p.httpAddr()} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

// placesByPort takes n times three free ports of 127.0.0.1. All stay held until the last
// was found, so that none is found twice.
func placesByPort(n int) ([]place, error) {
	var held []io.Closer
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	free := func(udp bool) (int, error) {
		for range 100 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return 0, err
			}
			held = append(held, l)
			port := l.Addr().(*net.TCPAddr).Port
			if !udp {
				return port, nil
			}
			if u, err := net.ListenPacket("udp", l.Addr().String()); err == nil {
				held = append(held, u)
				return port, nil
			}
		}
		return 0, errors.New("no port is free for both UDP and TCP")
	}
	places := make([]place, n)
	for i := range places {
		port, err := free(true)
		if err != nil {
			return nil, err
		}
		rpcPort, err := free(false)
		if err != nil {
			return nil, err
		}
		httpPort, err := free(false)
		if err != nil {
			return nil, err
		}
		places[i] = place{host: "127.0.0.1", port: port, rpc: rpcPort, http: httpPort}
	}
	return places, nil
}
