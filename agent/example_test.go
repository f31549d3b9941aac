package agent_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

// network is where the examples' nodes live. Without it they would use sockets.
func network() func(name, ip string, join ...string) *agent.Agent {
	net := transporttest.NewMemNet()
	return func(name, ip string, join ...string) *agent.Agent {
		a, err := agent.New(agent.Config{
			Name: name, Bind: netip.AddrPortFrom(netip.MustParseAddr(ip), agent.DefaultPort), Join: join, Listen: net.Listen,
		})
		if err != nil {
			panic(err)
		}
		if err := a.Start(context.Background()); err != nil {
			panic(err)
		}
		return a
	}
}

func Example() {
	a, err := agent.New(agent.Config{
		Name: "node0",
		Bind: netip.MustParseAddrPort("127.0.0.1:0"), // on a real node: its address and agent.DefaultPort
		// Join: []string{"192.168.100.51"},
	})
	if err != nil {
		fmt.Println(err) // all faults at once
		return
	}
	if err := a.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer a.Stop() // at once; the others see a failure. a.Leave tells them first.

	for node := range a.Live().Current().Alive() {
		fmt.Println(node.Name, node.Status)
	}
	// Output: node0 alive
}

func ExampleAgent_Live() {
	start := network()
	a := start("node0", "10.0.0.1")
	defer a.Stop()
	b := start("node1", "10.0.0.2", "10.0.0.1")

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	crashed := false
	for view := range a.Live().Watch(ctx) { // the newest view, whenever there is one
		node := view.Get("node1")
		switch {
		case node == nil:
		case node.Status == live.Alive && !crashed:
			fmt.Println("node1 is", node.Status)
			crashed = true
			b.Stop()
		case node.Status == live.Failed:
			fmt.Println("node1 has", node.Status)
			return
		}
	}
	// Output:
	// node1 is alive
	// node1 has failed
}

func ExampleAgent_Subscribe() {
	start := network()
	a := start("node0", "10.0.0.1")
	defer a.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := a.Subscribe(ctx)

	b := start("node1", "10.0.0.2", "10.0.0.1")
	defer b.Stop()
	for e := range events {
		switch e.Type {
		case "member-join":
			for _, m := range e.Members {
				fmt.Println(e.Type, m.Name)
			}
			if err := b.UserEvent("deploy", []byte("v2"), false); err != nil {
				fmt.Println(err)
			}
		case "user":
			fmt.Printf("%s %s %s\n", e.Type, e.Name, e.Payload)
			return
		}
	}
	// Output:
	// member-join node1
	// user deploy v2
}

func ExampleAgent_Query() {
	start := network()
	a := start("node0", "10.0.0.1")
	defer a.Stop()
	b := start("node1", "10.0.0.2", "10.0.0.1")
	defer b.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	events := b.Subscribe(ctx) // before the question is asked
	go func() {
		for e := range events {
			if e.Type == "query" {
				_ = b.Respond(e.ID, []byte("0.25"))
			}
		}
	}()

	records, err := a.Query(ctx, rpc.QueryRequest{Name: "load"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for r := range records { // ends when all have answered who would
		if r.Type == rpc.QueryRecordResponse {
			fmt.Printf("%s: %s\n", r.From, r.Payload)
		}
	}
	// Output: node1: 0.25
}
