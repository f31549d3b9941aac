//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/ibuki-dev/ibuki/rpc"
)

// cutter is a way to a server that can be cut and mended.
type cutter struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	open  bool
	conns []net.Conn
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, to: to, open: true}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); c.cut(); all.Wait() })
	return c
}

// pass passes on what one connection says, until it ends or is cut.
func (c *cutter) pass(conn net.Conn) {
	defer conn.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	open := c.open
	c.conns = append(c.conns, conn, server)
	c.mu.Unlock()
	if !open {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, conn)
		server.Close()
	}()
	_, _ = io.Copy(conn, server)
	conn.Close()
	<-done
}

// cut ends all connections, and those that come.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func (c *cutter) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
}

// resumedPage: a page whose way to the agent was cut goes on where it was, and says where
// something is missing that the agent does not have any more.
func resumedPage(t *testing.T, b browser) {
	a := newPageAgent(3)
	url := servePage(t, a, a.Members()[0].Name, nil)
	way := newCutter(t, strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
	p := b.open(t, "http://"+way.listener.Addr().String()+"/", 1280, 960, false)
	p.until("there are three", `document.getElementById("members-foot").textContent.startsWith("3 ")`)
	sent := 0
	send := func(n int) {
		for range n {
			sent++
			a.events <- rpc.Event{Type: "user", Name: fmt.Sprint("e", sent), LTime: uint64(sent)}
		}
	}
	send(1)
	p.until("the first event is there", `document.querySelector("#traffic b")?.textContent === "e1"`)
	for _, step := range []struct {
		missed int
		then   string
	}{
		{3, `document.querySelectorAll("#traffic .e-gap").length === 0 && [...document.querySelectorAll("#traffic b")].map((e) => e.textContent).join() === "e4,e3,e2,e1"`},
		// The agent keeps 4,096 records.
		{5000, `document.querySelector("#timeline .e-gap")?.textContent.includes("904 records (this page was away for longer than the agent remembers)")`},
	} {
		way.cut()
		p.until("the agent is gone", `document.getElementById("link-text").textContent === "Agent gone"`)
		send(step.missed)
		way.mend()
		p.until("it is live again", `document.getElementById("link-text").textContent === "Connected" && document.querySelector("#traffic b")?.textContent === "e`+fmt.Sprint(sent)+`"`)
		p.until("it shows what was missed", step.then)
	}
	p.shot("missed")
	p.sound()
	p.close()
}
