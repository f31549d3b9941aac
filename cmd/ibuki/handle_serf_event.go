package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/livefile"
	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
)

// eventHandlerName is the name that the program is this command under.
const eventHandlerName = "droonga-handle-serf-event"

var handleSerfEventCommand = &command{
	name:     "handle-serf-event",
	synopsis: "Event handler that keeps the list of live nodes in a file",
	hidden:   true,
	help: `
Usage: ` + eventHandlerName + ` --list=FILE [options]
       ibuki handle-serf-event --list=FILE [options]

  An event handler of this agent or of Serf's that writes the list of live nodes to
  a file, for programs that route by it:

      serf agent -event-handler="*=` + eventHandlerName + ` --list=FILE"

  On member events it asks the agent for all members by RPC and replaces the file,
  if the list has changed. User events and queries of these names do so too, and
  a query is answered with the list that came of it:

      live-nodes:refresh
      live-nodes:exclude NAME   take this node out of the list, for maintenance
      live-nodes:include NAME   put it back

  What is taken out is remembered in FILE.excluded; FILE.lock is for handlers that
  run at once. Other events are not its business. Started by hand, it writes the
  list as it is now.

  The agent can do the same without a process for each event: agent -live-nodes.

Options:

  -list=FILE                The file.
  -format=live-nodes        What is in it: live-nodes, all-nodes, cluster-state,
                            file_sd, haproxy, nginx or template.
  -port=N                   Port of the service on each node, for file_sd, haproxy
                            and nginx.
  -port-tag=TAG             The tag that holds that port.
  -name=ibuki               Name of the job, the backend or the upstream.
  -template=FILE            A text/template of your own.
  -run=CMD                  Run this after each change.
  -timeout=10s              How long it may take, all in all.
` + rpcHelp,
	run: runHandleSerfEvent,
}

// maxPayload bounds what is read of a payload, in bytes; Serf's own limit is below.
const maxPayload = 64 << 10

func runHandleSerfEvent(e *env, args []string) int {
	fs := e.flags()
	var spec livefile.Spec
	fs.StringVar(&spec.File, "list", "", "")
	fs.StringVar(&spec.Format, "format", "", "")
	port := fs.Uint("port", 0, "")
	fs.StringVar(&spec.PortTag, "port-tag", "", "")
	fs.StringVar(&spec.Name, "name", "", "")
	fs.StringVar(&spec.Template, "template", "", "")
	fs.StringVar(&spec.Run, "run", "", "")
	timeout := fs.Duration("timeout", 10*time.Second, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if spec.File == "" {
		return e.usage("The file has to be named: --list=FILE")
	}
	if *port > 65535 {
		return e.usage("port " + strconv.FormatUint(uint64(*port), 10) + " is none")
	}
	spec.Port = uint16(*port)
	target, err := spec.Target()
	if err != nil {
		return e.usage(err.Error())
	}
	event := os.Getenv("SERF_EVENT")
	order, ours, err := readOrder(event, e.stdin)
	if !ours {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	var r livefile.Result
	if err == nil {
		r, err = target.Update(ctx, order, agent.cluster)
	}
	if r.View != nil && event != "query" { // whose answer is all that is printed
		for _, remark := range target.Remarks(r.View) {
			fmt.Fprintf(e.stderr, "%s %s\n", printable.Line(remark.Node), remark.Text)
		}
	}
	if r.Changed {
		err = errors.Join(err, target.RunCommand(ctx, false))
	}
	return e.handled(event, &r, err)
}

// readOrder reads what the event wants; ours is false if that is nothing here.
func readOrder(event string, stdin io.Reader) (order livefile.Order, ours bool, err error) {
	var name, ltime string
	switch event {
	case "user":
		name, ltime = os.Getenv("SERF_USER_EVENT"), os.Getenv("SERF_USER_LTIME")
		order.Clock = livefile.EventClock
	case "query":
		name, ltime = os.Getenv("SERF_QUERY_NAME"), os.Getenv("SERF_QUERY_LTIME")
		order.Clock = livefile.QueryClock
	default:
		return order, true, nil
	}
	payload, err := io.ReadAll(io.LimitReader(stdin, maxPayload))
	if err != nil {
		return order, true, err
	}
	clock := order.Clock
	order, ours, err = livefile.ParseOrder(name, payload)
	order.Clock = clock
	if order.LTime, _ = strconv.ParseUint(ltime, 10, 64); order.LTime == 0 {
		order.Clock = livefile.NoClock // not told when: it counts
	}
	return order, ours, err
}

// cluster asks the agent for all members, and for its clocks.
func (f rpcFlags) cluster(ctx context.Context) (livefile.Cluster, error) {
	var c livefile.Cluster
	client, err := rpc.Dial(ctx, rpc.ClientConfig{Addr: *f.addr, AuthKey: *f.auth})
	if err != nil {
		return c, err
	}
	defer client.Close()
	if stats, err := client.Stats(ctx); err == nil {
		c.Clocks.Event, _ = strconv.ParseUint(stats["serf"]["event_time"], 10, 64)
		c.Clocks.Query, _ = strconv.ParseUint(stats["serf"]["query_time"], 10, 64)
	}
	members, err := client.Members(ctx)
	if err != nil {
		return c, err
	}
	for i := range members {
		c.Entries = append(c.Entries, liveEntry(&members[i]))
	}
	return c, nil
}

// liveEntry is a member as lists have it.
func liveEntry(m *rpc.Member) live.Entry {
	e := live.Entry{Name: m.Name, Status: live.ParseStatus(m.Status)}
	if ip, ok := netip.AddrFromSlice(m.Addr); ok {
		e.Addr = netip.AddrPortFrom(ip.Unmap(), m.Port)
	}
	for key, value := range m.Tags { // order-free: a list sorts its tags
		e.Tags = append(e.Tags, live.Tag{Key: key, Value: value})
	}
	return e
}

// handled says how it went: to a query in its answer, otherwise only if it
// went wrong, or to whoever started this by hand.
func (e *env) handled(event string, r *livefile.Result, err error) int {
	switch {
	case event == "query" && err != nil:
		text, _ := json.Marshal(map[string]string{"error": err.Error()}) // of strings: does not fail
		e.say("%s", text)
		return 1
	case err != nil:
		return e.fail("Error: %s", err)
	case event == "query" || event == "":
		e.say("%s", r.Answer(livefile.AnswerMax))
	}
	return 0
}
