package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// A program that asks an agent who is alive, asks those a query, and then
// follows what happens in the cluster.
func Example() {
	ctx := context.Background()
	c, err := rpc.Dial(ctx, rpc.ClientConfig{Addr: "127.0.0.1:7373"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	alive, err := c.MembersFiltered(ctx, rpc.MemberFilter{Status: "alive"})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range alive {
		fmt.Println(m.Name, m.Addr, m.Tags["role"])
	}

	q, err := c.Query(ctx, rpc.QueryRequest{Name: "load", RequestAck: true, Timeout: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	for {
		rec, err := q.Next(ctx)
		if errors.Is(err, io.EOF) {
			break // the query is done
		} else if err != nil {
			log.Fatal(err)
		}
		if rec.Type == rpc.QueryRecordResponse {
			fmt.Printf("%s answers %s\n", rec.From, rec.Payload)
		}
	}

	events, err := c.Stream(ctx, "member-failed,user:deploy,query:whoami")
	if err != nil {
		log.Fatal(err)
	}
	for {
		ev, err := events.Next(ctx)
		if err != nil {
			log.Fatal(err) // the agent has ended, or this loop was too slow
		}
		if ev.Type == "query" {
			err = c.Respond(ctx, ev.ID, []byte("a program"))
		}
		fmt.Println(ev.Type, ev.Name, len(ev.Members), err)
	}
}

// A context bounds how long a call waits; the connection survives it.
func ExampleClient_Join() {
	c, err := rpc.Dial(context.Background(), rpc.ClientConfig{AuthKey: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	n, err := c.Join(ctx, []string{"10.0.0.1", "10.0.0.2:7950"}, false)
	fmt.Println(n, err)
}
