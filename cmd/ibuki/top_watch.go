package main

import (
	"context"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// The intervals of topWatch.
const (
	topPollEvery  = time.Second     // members and figures
	topCoordEvery = 5 * time.Second // coordinates, which are one request each
	topRetryEvery = time.Second     // a lost agent is looked for
	topCallWithin = 3 * time.Second
)

// topCoordMost is for how many members round-trip times are shown: each costs a
// request every topCoordEvery.
const topCoordMost = 256

// What topWatch tells.
type (
	topMembers struct{ list []rpc.Member }
	topEvent   struct{ event rpc.Event }
	topStats   struct {
		stats map[string]map[string]string
	}
	topCoords struct {
		self    *rpc.Coordinate
		members map[string]*rpc.Coordinate
	}
	topLost struct{ err error } // the agent does not answer
)

// topWatch follows one agent over RPC, for as long as ctx lives: it connects again
// whenever the agent is lost.
type topWatch struct {
	dial  func(context.Context) (*rpc.Client, error)
	tell  func(any) // one of the types above; from one goroutine at a time
	names []string  // of the members that are alive
	self  string
}

func (w *topWatch) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		w.tell(topLost{err})
		select {
		case <-time.After(topRetryEvery):
		case <-ctx.Done():
		}
	}
}

// follow is one connection's life. It returns why it ended.
func (w *topWatch) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	events, err := c.Stream(ctx, "*")
	if err != nil {
		return err
	}
	inbox, ended := topInbox(ctx, events)
	if err := w.poll(ctx, c); err != nil {
		return err
	}
	w.coordinates(ctx, c)
	poll, coords := time.NewTicker(topPollEvery), time.NewTicker(topCoordEvery)
	defer poll.Stop()
	defer coords.Stop()
	for {
		select {
		case e := <-inbox:
			w.tell(topEvent{e})
			if len(e.Members) > 0 { // the list as it is now, not a second later
				err = w.members(ctx, c)
			}
		case <-poll.C:
			err = w.poll(ctx, c)
		case <-coords.C:
			w.coordinates(ctx, c)
		case err = <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// topInbox makes a channel of a stream.
func topInbox(ctx context.Context, events *rpc.Stream[rpc.Event]) (<-chan rpc.Event, <-chan error) {
	inbox, ended := make(chan rpc.Event), make(chan error, 1)
	go func() {
		for {
			e, err := events.Next(ctx)
			if err != nil {
				ended <- err
				return
			}
			select {
			case inbox <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return inbox, ended
}

func (w *topWatch) members(ctx context.Context, c *rpc.Client) error {
	ctx, cancel := context.WithTimeout(ctx, topCallWithin)
	defer cancel()
	list, err := c.Members(ctx)
	if err != nil {
		return err
	}
	w.names = w.names[:0]
	for _, m := range list {
		if m.Status == "alive" && len(w.names) < topCoordMost {
			w.names = append(w.names, m.Name)
		}
	}
	w.tell(topMembers{list})
	return nil
}

func (w *topWatch) poll(ctx context.Context, c *rpc.Client) error {
	if err := w.members(ctx, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, topCallWithin)
	defer cancel()
	stats, err := c.Stats(ctx)
	if err != nil {
		return err
	}
	w.self = stats["agent"]["name"]
	w.tell(topStats{stats})
	return nil
}

// coordinates asks for what it can get: an agent without coordinates has none.
func (w *topWatch) coordinates(ctx context.Context, c *rpc.Client) {
	ctx, cancel := context.WithTimeout(ctx, topCallWithin)
	defer cancel()
	self, err := c.Coordinate(ctx, w.self)
	if err != nil || self == nil {
		return
	}
	all := topCoords{self: self, members: make(map[string]*rpc.Coordinate, len(w.names))}
	for _, name := range w.names {
		if at, err := c.Coordinate(ctx, name); err == nil && at != nil {
			all.members[name] = at
		}
	}
	w.tell(all)
}
