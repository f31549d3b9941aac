//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/serf/client"
)

// kind is one of the two programs.
type kind struct{ name, path string }

// patience is how long anything may take.
const patience = 3 * time.Minute

// agent is one process, and Serf's client connected to it.
type agent struct {
	kind     *kind
	name, ip string
	host     *host // where links can be cut; nil: on loopback

	cmd  *exec.Cmd
	gone chan struct{}
	rpc  *client.RPCClient
	mute chan struct{} // closed at the end of the stream

	mu   sync.Mutex
	seen []happening
}

// happening is an event of an agent's stream.
type happening struct {
	at    time.Time
	kind  string
	names []string // of members, or of the user event or query
}

// All running agents, to be ended whatever happens.
var (
	runningMu sync.Mutex
	running   = map[*agent]bool{}
)

// endAll ends what runs.
func endAll() {
	runningMu.Lock()
	var all []*agent
	for a := range running {
		all = append(all, a)
	}
	runningMu.Unlock()
	for _, a := range all {
		a.kill()
	}
}

// starter starts all processes: what is to die with its parent dies with the
// thread that started it, and this one lives as long as the program.
var starter = func() chan func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
}()

func startProcess(cmd *exec.Cmd) error {
	done := make(chan error)
	starter <- func() { done <- cmd.Start() }
	return <-done
}

// spawn starts the process.
func (a *agent) spawn() error {
	args := []string{"agent", "-node=" + a.name, "-bind=" + a.ip, "-rpc-addr=" + a.ip + ":7373"}
	if a.host != nil {
		a.cmd = a.host.command(a.kind.path, args)
	} else {
		a.cmd = exec.Command(a.kind.path, args...)
		a.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	a.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := startProcess(a.cmd); err != nil {
		return err
	}
	runningMu.Lock()
	running[a] = true
	runningMu.Unlock()
	gone, cmd := make(chan struct{}), a.cmd
	a.gone = gone
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	if a.host != nil {
		return a.host.plug(a.cmd.Process.Pid)
	}
	return nil
}

// connect connects to the agent's RPC, once it answers, and follows its events.
func (a *agent) connect() error {
	var err error
	if !await(patience, func() bool {
		a.rpc, err = client.ClientFromConfig(&client.Config{Addr: a.ip + ":7373", Timeout: patience})
		return err == nil || a.ended()
	}) || err != nil {
		return fmt.Errorf("%s does not answer: %w", a.name, err)
	}
	stream := make(chan map[string]any, 4096)
	if _, err := a.rpc.Stream("*", stream); err != nil {
		return err
	}
	a.mute = make(chan struct{})
	go func(rpc *client.RPCClient, mute chan struct{}) {
		defer close(mute)
		for record := range stream {
			a.note(rpc, record)
		}
	}(a.rpc, a.mute)
	return nil
}

func (a *agent) ended() bool {
	select {
	case <-a.gone:
		return true
	default:
		return false
	}
}

// note keeps an event; a query is answered.
func (a *agent) note(rpc *client.RPCClient, record map[string]any) {
	h := happening{at: time.Now(), kind: text(record["Event"])}
	switch h.kind {
	case "user":
		h.names = []string{text(record["Name"])}
	case "query":
		if id, err := strconv.ParseUint(fmt.Sprint(record["ID"]), 10, 64); err == nil {
			_ = rpc.Respond(id, []byte(a.name))
		}
	}
	if list, ok := record["Members"].([]any); ok {
		for _, m := range list {
			switch fields := m.(type) {
			case map[any]any:
				h.names = append(h.names, text(fields["Name"]))
			case map[string]any:
				h.names = append(h.names, text(fields["Name"]))
			}
		}
	}
	a.mu.Lock()
	a.seen = append(a.seen, h)
	a.mu.Unlock()
}

// text is a string of the RPC wire.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// told is when the agent's stream first told of it, not before since.
func (a *agent) told(kind, name string, since time.Time) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.seen {
		if h.kind != kind || h.at.Before(since) {
			continue
		}
		for _, n := range h.names {
			if n == name {
				return h.at, true
			}
		}
	}
	return time.Time{}, false
}

// failures are the names that the stream has called failed since then.
func (a *agent) failures(since time.Time) (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.seen {
		if h.kind == "member-failed" && !h.at.Before(since) {
			names = append(names, h.names...)
		}
	}
	return names
}

// sees is how many members the agent lists as alive.
func (a *agent) sees() int {
	members, err := a.rpc.MembersFiltered(nil, "alive", "")
	if err != nil {
		return -1
	}
	return len(members)
}

// lists reports whether the agent lists the member with that status.
func (a *agent) lists(name, status string) bool {
	members, err := a.rpc.MembersFiltered(nil, status, "^"+name+"$")
	return err == nil && len(members) == 1
}

func (a *agent) signal(s os.Signal) { _ = a.cmd.Process.Signal(s) }

// kill ends the process as kill -9 does.
func (a *agent) kill() {
	if a.cmd == nil || a.cmd.Process == nil {
		return
	}
	_ = a.cmd.Process.Kill()
	a.over()
}

// over waits for the end of the process.
func (a *agent) over() {
	select {
	case <-a.gone:
	case <-time.After(10 * time.Second):
	}
	if a.mute != nil { // Serf's client panics if it is closed while records are on their way
		select {
		case <-a.mute:
		case <-time.After(10 * time.Second):
		}
	}
	if a.rpc != nil {
		a.rpc.Close()
	}
	runningMu.Lock()
	delete(running, a)
	runningMu.Unlock()
}

// await polls until ok is content, or the limit is over.
func await(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

var errLate = errors.New("did not happen in time")
