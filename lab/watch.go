package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/terminal"
)

// lookEvery is how often a node's member list is read when it reports no event:
// some changes (a node that is leaving, one that was reaped) have none.
const lookEvery = 500 * time.Millisecond

// watch follows one process of a node until it is gone.
func (c *cluster) watch(n *node, gone <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-gone:
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		if client, err := rpc.Dial(ctx, rpc.ClientConfig{Addr: n.place.rpcAddr(), Timeout: time.Minute}); err == nil {
			c.follow(ctx, n, client)
			client.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// follow tells the events of a node and keeps its view, until the connection ends.
func (c *cluster) follow(ctx context.Context, n *node, client *rpc.Client) {
	stream, err := client.Stream(ctx, "*")
	if err != nil {
		return
	}
	c.look(ctx, n, client)
	for {
		wait, cancel := context.WithTimeout(ctx, lookEvery)
		event, err := stream.Next(wait)
		cancel()
		switch {
		case err == nil:
			c.news(notice{node: n.name, text: eventText(event), kind: event.Type, clock: event.LTime, names: c.subjects(event)})
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return
		}
		c.look(ctx, n, client)
	}
}

// look reads a node's member list and tells it if it changed.
func (c *cluster) look(ctx context.Context, n *node, client *rpc.Client) {
	c.mu.Lock()
	skip := n.state != stateRunning
	c.mu.Unlock()
	if skip {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	members, err := client.Members(ctx)
	if err != nil {
		return
	}
	seen := map[string]string{}
	for _, m := range members {
		seen[m.Name] = m.Status
	}
	c.mu.Lock()
	changed := n.state == stateRunning && !maps.Equal(seen, n.seen)
	if changed {
		n.seen = seen
	}
	c.mu.Unlock()
	if changed {
		c.news(notice{node: n.name, text: "members: " + viewText(seen), view: true})
	}
}

func viewText(seen map[string]string) string {
	names := slices.SortedFunc(maps.Keys(seen), terminal.Natural)
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = name + " " + seen[name]
	}
	return strings.Join(parts, ", ")
}

// subjects are what an event is about, by the names that the screen has for them.
func (c *cluster) subjects(e rpc.Event) []string {
	if len(e.Members) == 0 {
		return []string{fmt.Sprintf("%s %q", e.Name, e.Payload)}
	}
	names := make([]string, len(e.Members))
	for i, m := range e.Members {
		names[i] = fmt.Sprintf("%s (%s)", c.label(m.Name), m.Addr)
	}
	slices.SortFunc(names, terminal.Natural)
	return names
}

// label is node1 for the second node, also where its name is its address.
func (c *cluster) label(name string) string {
	for i, n := range c.nodes {
		if n.name == name {
			return fmt.Sprintf("node%d", i)
		}
	}
	return name
}

func eventText(e rpc.Event) string {
	switch e.Type {
	case "user":
		return fmt.Sprintf("event %s %q", e.Name, e.Payload)
	case "query":
		return fmt.Sprintf("query %s %q", e.Name, e.Payload)
	}
	names := make([]string, len(e.Members))
	for i, m := range e.Members {
		names[i] = fmt.Sprintf("%s (%s)", m.Name, m.Addr)
	}
	slices.SortFunc(names, terminal.Natural)
	return e.Type + " " + strings.Join(names, ", ")
}

// dial connects to a node for one command.
func (c *cluster) dial(ctx context.Context, n *node) (*rpc.Client, error) {
	c.mu.Lock()
	state := n.state
	c.mu.Unlock()
	if state != stateRunning {
		return nil, fmt.Errorf("%s is %s", n.name, state)
	}
	return rpc.Dial(ctx, rpc.ClientConfig{Addr: n.place.rpcAddr()})
}

// leave makes a node leave; its process ends.
func (c *cluster) leave(ctx context.Context, n *node) error {
	client, err := c.dial(ctx, n)
	if err != nil {
		return err
	}
	defer client.Close()
	c.mu.Lock()
	n.asked = true
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := client.Leave(ctx); err != nil && !errors.Is(err, rpc.ErrClientClosed) {
		return err
	}
	return c.ended(n, 20*time.Second)
}

func (c *cluster) event(ctx context.Context, from *node, name, data string) error {
	client, err := c.dial(ctx, from)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.UserEvent(ctx, name, []byte(data), false)
}

// query asks, tells each answer when it comes, and waits for the end.
func (c *cluster) query(ctx context.Context, from *node, to []string, name, data string) error {
	client, err := c.dial(ctx, from)
	if err != nil {
		return err
	}
	defer client.Close()
	began := time.Now()
	stream, err := client.Query(ctx, rpc.QueryRequest{FilterNodes: to, RequestAck: true, Name: name, Payload: []byte(data)})
	if err != nil {
		return err
	}
	acks, answers := 0, 0
	for {
		r, err := stream.Next(ctx)
		if errors.Is(err, io.EOF) {
			c.say(from.name, "query %s is over after %.3fs: %d acks, %d answers", name, time.Since(began).Seconds(), acks, answers)
			return nil
		}
		if err != nil {
			return err
		}
		if r.Type == rpc.QueryRecordAck {
			acks++
			continue
		}
		answers++
		c.say(from.name, "query %s: %s answers %q after %.3fs", name, r.From, r.Payload, time.Since(began).Seconds())
	}
}
