package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// The examples run against agent: what an agent of three nodes would answer.
type agent struct {
	rpc.Backend // what the examples do not call
	events      chan rpc.Event
}

func (a *agent) Members() []rpc.Member {
	ip := net.IPv4(10, 0, 0, 1)
	return []rpc.Member{
		{Name: "node0", Addr: ip, Port: 7946, Status: "alive", Tags: map[string]string{"role": "db"}},
		{Name: "node1", Addr: ip, Port: 7946, Status: "failed", Tags: map[string]string{"role": "db"}},
		{Name: "node2", Addr: ip, Port: 7946, Status: "alive", Tags: map[string]string{"role": "web"}},
	}
}

func (a *agent) Join(ctx context.Context, _ []string, _ bool) (int, error) {
	<-ctx.Done() // nobody answers at those addresses
	return 0, ctx.Err()
}

func (a *agent) Query(req rpc.QueryRequest, sink func(rpc.QueryRecord)) error {
	sink(rpc.QueryRecord{Type: rpc.QueryRecordResponse, From: "node0", Payload: []byte("0.3")})
	sink(rpc.QueryRecord{Type: rpc.QueryRecordDone})
	return nil
}

func (a *agent) Subscribe(bool) (<-chan rpc.Event, func() int, func()) {
	return a.events, func() int { return 0 }, func() {}
}

func (a *agent) Respond(uint64, []byte) error { return nil }

// serve returns the address of such an agent, which asks for a key.
func serve() (addr string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	a := &agent{events: make(chan rpc.Event, 2)}
	a.events <- rpc.Event{Type: "user", Name: "deploy", Payload: []byte("v2")}
	a.events <- rpc.Event{Type: "query", Name: "whoami", ID: 1, Deadline: time.Now().Add(time.Minute)}
	s := rpc.NewServer(rpc.ServerConfig{AuthKey: "secret"}, a)
	go s.Serve(l)
	return l.Addr().String(), func() { s.Close() }
}

// dial is for the examples whose matter is something else.
func dial(ctx context.Context, addr string) *rpc.Client {
	c, err := rpc.Dial(ctx, rpc.ClientConfig{Addr: addr, AuthKey: "secret"})
	if err != nil {
		panic(err)
	}
	return c
}

// A program connects to its agent and asks who of a kind is alive.
func Example() {
	addr, stop := serve() // in earnest: an agent, at 127.0.0.1:7373
	defer stop()
	ctx := context.Background()
	c, err := rpc.Dial(ctx, rpc.ClientConfig{Addr: addr, AuthKey: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	alive, err := c.MembersFiltered(ctx, rpc.MemberFilter{Status: "alive", Tags: map[string]string{"role": "db"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range alive {
		fmt.Println(m.Name, m.Addr, m.Tags["role"])
	}
	// Output: node0 10.0.0.1 db
}

// A query's answers come as a stream, which ends with io.EOF.
func ExampleClient_Query() {
	addr, stop := serve()
	defer stop()
	ctx := context.Background()
	c := dial(ctx, addr)
	defer c.Close()
	q, err := c.Query(ctx, rpc.QueryRequest{Name: "load", RequestAck: true, Timeout: 5 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		rec, err := q.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			fmt.Println(err)
			return
		}
		if rec.Type == rpc.QueryRecordResponse {
			fmt.Printf("%s answers %s\n", rec.From, rec.Payload)
		}
	}
	// Output: node0 answers 0.3
}

// A program follows what happens in the cluster, and answers queries.
func ExampleClient_Stream() {
	addr, stop := serve()
	defer stop()
	ctx := context.Background()
	c := dial(ctx, addr)
	defer c.Close()
	events, err := c.Stream(ctx, "member-failed,user:deploy,query:whoami")
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		ev, err := events.Next(ctx)
		if err != nil {
			fmt.Println(err) // the agent has ended, or this loop was too slow
			return
		}
		if ev.Type == "query" {
			err = c.Respond(ctx, ev.ID, []byte("a program"))
		}
		fmt.Printf("%s %s %q %v\n", ev.Type, ev.Name, ev.Payload, err)
	}
	// Output:
	// user deploy "v2" <nil>
	// query whoami "" <nil>
}

// A context bounds how long a call waits; the connection survives it.
func ExampleClient_Join() {
	addr, stop := serve()
	defer stop()
	c := dial(context.Background(), addr)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Join(ctx, []string{"10.0.0.1", "10.0.0.2:7950"}, false)
	fmt.Println(err)
	// Output: context deadline exceeded
}

// Without the key nothing is answered.
func ExampleDial_wrongKey() {
	addr, stop := serve()
	defer stop()
	_, err := rpc.Dial(context.Background(), rpc.ClientConfig{Addr: addr, AuthKey: "guess"})
	fmt.Println(err, errors.Is(err, rpc.ErrInvalidAuthToken))
	// Output: Invalid authentication token true
}
