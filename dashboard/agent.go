package dashboard

import (
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

// Agent is what the API needs of an agent: a part of rpc.Backend, and its list.
// The methods may be called concurrently.
type Agent interface {
	// Members are sorted by name.
	Members() []rpc.Member
	Stats() map[string]map[string]string
	Coordinate(node string) (*rpc.Coordinate, error)
	UserEvent(name string, payload []byte, coalesce bool) error
	Query(req rpc.QueryRequest, sink func(rpc.QueryRecord)) error
	Subscribe() (events <-chan rpc.Event, lost func() int, cancel func())
	// Live is the list of live nodes, which follows the machine at once.
	Live() *live.List
}
