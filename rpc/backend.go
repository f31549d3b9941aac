package rpc

import (
	"context"
	"time"
)

// Backend is what the server serves: an agent. Its methods may be called
// concurrently. Its error texts reach the clients as they are.
type Backend interface {
	// Join tries the addresses (host, host:port or name/address); it returns
	// how many were joined, and an error only if none was. replay: old user
	// events are delivered.
	Join(ctx context.Context, addrs []string, replay bool) (int, error)
	// Leave leaves the cluster and then ends the agent. It returns when the
	// leave is done; the process ends after the reply was sent. The agent ends
	// with Server.Close, which waits for that reply; called inside Leave it
	// would wait in vain, for CloseGrace.
	Leave(ctx context.Context) error
	ForceLeave(name string, prune bool) error
	// Members are sorted by name; Tags are never nil.
	Members() []Member
	// SetTags sets and then deletes tags; it returns when Members shows it and the tags file is written.
	SetTags(set map[string]string, del []string) error
	UserEvent(name string, payload []byte, coalesce bool) error
	// Query asks and calls sink for each record, from one goroutine; the last
	// record is QueryRecordDone. It returns when the query was started; after
	// an error there are no records. sink never waits.
	Query(req QueryRequest, sink func(QueryRecord)) error
	// Respond answers a query event by the ID of the Event.
	Respond(id uint64, payload []byte) error
	// Stats are the sections of `serf info`: agent, runtime, serf, tags, event_handlers.
	Stats() map[string]map[string]string
	// Coordinate returns nil if there is none for that node.
	Coordinate(node string) (*Coordinate, error)
	// Subscribe delivers every event from now on, in order, until cancel: as soon as
	// it is known if prompt, else in Serf's windows.
	// The channel is closed after cancel, when the agent ends, or when the
	// reader was too slow (then lost() says how many events it missed).
	Subscribe(prompt bool) (events <-chan Event, lost func() int, cancel func())
	// Monitor delivers log lines of at least level (Serf's words: TRACE …ERR),
	// first the recent ones. The channel is closed after cancel, when the agent
	// ends, or when the reader was too slow; cancel may be called after that.
	Monitor(level string) (lines <-chan string, cancel func(), err error)
	// Key commands: InstallKey, UseKey, RemoveKey by command name, ListKeys with key "".
	Key(ctx context.Context, command, key string) (KeyResponse, error)
}

// Event is an event of the agent as the streams tell it. ID and Deadline are
// set for queries: ID is what Respond wants.
type Event struct {
	Type     string // "member-join", …, "user", "query"
	Members  []Member
	LTime    uint64
	Name     string
	Payload  []byte
	Coalesce bool
	ID       uint64
	Deadline time.Time
}
