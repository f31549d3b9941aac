package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/ibuki-dev/ibuki/rpc"
)

var monitorCommand = &command{
	name:     "monitor",
	synopsis: "Shows the agent's log and events as they happen",
	help: `
Usage: {prog} monitor [options]

  Shows the recent log lines of a running agent and then, until interrupted,
  its log lines and events as they happen. The level is the monitor's own: it
  may show more than the agent's log.

Options:

  -log-level=info           Lowest level to show: trace, debug, info, warn, err.
` + rpcHelp,
	run: runMonitor,
}

func runMonitor(e *env, args []string) int {
	fs := e.flags()
	level := fs.String("log-level", "INFO", "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil || e.extra() {
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	events, err := c.Stream(ctx, "*")
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		return e.fail("Error starting stream: %s", err)
	}
	lines, err := c.Monitor(ctx, *level)
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		return e.fail("Error starting monitor: %s", err)
	}
	return watch(ctx, e, events, lines)
}

// watch shows both streams until one ends or ctx does.
func watch(ctx context.Context, e *env, events *rpc.Stream[rpc.Event], lines *rpc.Stream[string]) int {
	both, cancel := context.WithCancelCause(ctx)
	var mu sync.Mutex // one text at a time
	show := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		e.say("%s", text)
	}
	var wg sync.WaitGroup
	wg.Go(func() { cancel(each(both, lines, func(line string) { show(e.word(line)) })) })
	wg.Go(func() { cancel(each(both, events, func(ev rpc.Event) { show(eventText(ev)) })) })
	wg.Wait()
	if ctx.Err() != nil { // interrupted
		return 0
	}
	if why := context.Cause(both); !errors.Is(why, rpc.ErrClientClosed) {
		return e.fail("\nMonitor ended: %s", why)
	}
	return e.fail("\nRemote side ended the monitor! This usually means that the\n" +
		"remote side has exited or crashed.")
}

// each reads a stream to its end and says why it ended.
func each[T any](ctx context.Context, s *rpc.Stream[T], do func(T)) error {
	for {
		v, err := s.Next(ctx)
		if err != nil {
			return err
		}
		do(v)
	}
}

// eventText shows the fields of an event under the names, and in the Go syntax,
// that they have in Serf's monitor.
func eventText(ev rpc.Event) string {
	var b strings.Builder
	b.WriteString("Event Info:")
	field := func(name string, v any) { fmt.Fprintf(&b, "\n\t%s: %#v", name, v) }
	field("Event", ev.Type)
	switch ev.Type {
	case "user":
		field("LTime", plain(ev.LTime))
		field("Name", ev.Name)
		field("Payload", bytesOrNil(ev.Payload))
		field("Coalesce", ev.Coalesce)
	case "query":
		field("ID", plain(ev.ID))
		field("LTime", plain(ev.LTime))
		field("Name", ev.Name)
		field("Payload", bytesOrNil(ev.Payload))
	default:
		var members []any
		for _, m := range ev.Members {
			members = append(members, plainMember(m))
		}
		field("Members", members)
	}
	return b.String()
}

// plain is a number as a msgpack decoder that knows no types returns it.
func plain(n uint64) any {
	if n < 128 {
		return int64(n)
	}
	return n
}

func bytesOrNil(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func plainMember(m rpc.Member) map[any]any {
	tags := make(map[any]any, len(m.Tags))
	for k, v := range m.Tags { // order-free: a map again
		tags[k] = v
	}
	return map[any]any{
		"Name": m.Name, "Addr": bytesOrNil(m.Addr), "Port": plain(uint64(m.Port)), "Tags": tags, "Status": m.Status,
		"ProtocolMin": plain(uint64(m.ProtocolMin)), "ProtocolMax": plain(uint64(m.ProtocolMax)),
		"ProtocolCur": plain(uint64(m.ProtocolCur)), "DelegateMin": plain(uint64(m.DelegateMin)),
		"DelegateMax": plain(uint64(m.DelegateMax)), "DelegateCur": plain(uint64(m.DelegateCur)),
	}
}
