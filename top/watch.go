package top

import (
	"context"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// The intervals of watcher.
const (
	pollEvery  = time.Second     // members and figures
	coordEvery = 5 * time.Second // coordinates, which are one request each
	retryEvery = time.Second     // a lost agent is looked for
	callWithin = 3 * time.Second
)

// coordMost is for how many members round-trip times are shown: each costs a
// request every coordEvery.
const coordMost = 256

// What watcher tells.
type (
	memberList struct{ list []rpc.Member }
	newEvent   struct{ event rpc.Event }
	figures    struct {
		stats map[string]map[string]string
	}
	coords struct {
		self    *rpc.Coordinate
		members map[string]*rpc.Coordinate
	}
	lost struct{ err error } // the agent does not answer
)

// watcher follows one agent over RPC, for as long as ctx lives: it connects again
// whenever the agent is lost.
type watcher struct {
	dial  func(context.Context) (*rpc.Client, error)
	tell  func(any) // one of the types above; from one goroutine at a time
	names []string  // of the members that are alive
	self  string
}

func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		w.tell(lost{err})
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
}

// follow is one connection's life. It returns why it ended.
func (w *watcher) follow(ctx context.Context) error {
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
	inbox, ended := receive(ctx, events)
	if err := w.poll(ctx, c); err != nil {
		return err
	}
	w.coordinates(ctx, c)
	poll, coords := time.NewTicker(pollEvery), time.NewTicker(coordEvery)
	defer poll.Stop()
	defer coords.Stop()
	for {
		select {
		case e := <-inbox:
			w.tell(newEvent{e})
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

// receive makes a channel of a stream.
func receive(ctx context.Context, events *rpc.Stream[rpc.Event]) (<-chan rpc.Event, <-chan error) {
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

func (w *watcher) members(ctx context.Context, c *rpc.Client) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	list, err := c.MembersFiltered(ctx, rpc.MemberFilter{Times: true})
	if err != nil {
		return err
	}
	w.names = w.names[:0]
	for _, m := range list {
		if m.Status == "alive" && len(w.names) < coordMost {
			w.names = append(w.names, m.Name)
		}
	}
	w.tell(memberList{list})
	return nil
}

func (w *watcher) poll(ctx context.Context, c *rpc.Client) error {
	if err := w.members(ctx, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	stats, err := c.Stats(ctx)
	if err != nil {
		return err
	}
	w.self = stats["agent"]["name"]
	w.tell(figures{stats})
	return nil
}

// coordinates asks for what it can get: an agent without coordinates has none.
func (w *watcher) coordinates(ctx context.Context, c *rpc.Client) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	self, err := c.Coordinate(ctx, w.self)
	if err != nil || self == nil {
		return
	}
	all := coords{self: self, members: make(map[string]*rpc.Coordinate, len(w.names))}
	for _, name := range w.names {
		if at, err := c.Coordinate(ctx, name); err == nil && at != nil {
			all.members[name] = at
		}
	}
	w.tell(all)
}
