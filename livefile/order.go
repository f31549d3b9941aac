package livefile

import (
	"fmt"
	"slices"
	"strings"
)

// Prefix begins the names of the user events and queries that are about lists.
const Prefix = "live-nodes:"

// Clock is whose time an Order carries: events and queries are counted apart.
type Clock uint8

// The clocks.
const (
	NoClock Clock = iota
	EventClock
	QueryClock
)

// Order is what is to be done with a list beside writing it anew. The zero Order is
// nothing: refresh.
type Order struct {
	Exclude []string // nodes to take out of the list
	Include []string // nodes to put back
	// Clock and LTime are when it was ordered. An order that is older than the last
	// one for a node is not followed for that node: events are told again after a
	// restart, and handlers may run in another order than the events came.
	Clock Clock
	LTime uint64
}

// maxOrderNames is how many nodes one order may name.
const maxOrderNames = 1000

// ParseOrder reads the order in a user event or query of that name, whose payload
// names nodes with space between. ok is false if the name is none of lists'.
func ParseOrder(name string, payload []byte) (order Order, ok bool, err error) {
	verb, ok := strings.CutPrefix(name, Prefix)
	if !ok {
		return Order{}, false, nil
	}
	nodes := strings.Fields(string(payload))
	if len(nodes) > maxOrderNames {
		return Order{}, true, fmt.Errorf("%s names more than %d nodes", name, maxOrderNames)
	}
	switch verb {
	case "refresh":
		return Order{}, true, nil
	case "exclude":
		order.Exclude = nodes
	case "include":
		order.Include = nodes
	default:
		return Order{}, false, nil
	}
	if len(nodes) == 0 {
		return Order{}, true, fmt.Errorf("%s has to name a node", name)
	}
	return order, true, nil
}

// names are the nodes that o is about, and whether each is to be excluded.
func (o *Order) names(f func(node string, exclude bool)) {
	for _, n := range slices.Sorted(slices.Values(o.Exclude)) {
		f(n, true)
	}
	for _, n := range slices.Sorted(slices.Values(o.Include)) {
		f(n, false)
	}
}
