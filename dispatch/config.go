package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/sock"
)

// List is the live-node list that is followed (M16). Until its first version it
// says nothing, and every node of the catalog is held to be alive (M15).
type List interface {
	// Current returns the list as it is now. It takes no lock.
	Current() *live.View
	// Watch returns a channel that holds the newest list not yet received.
	Watch(ctx context.Context) <-chan *live.View
}

// Peer is another gateway of the same catalog.
type Peer struct {
	Name string // its node's name in the live-node list, if it is on one
	Addr string // host:port of its HTTP front
}

// PeerClient asks other gateways.
type PeerClient interface {
	// Forward has another gateway answer a search. An error of this package's
	// (answer.go) is what that one said.
	Forward(ctx context.Context, addr string, c *groonga.Command) (groonga.Answer, error)
}

// Config are the settings of a Dispatcher. Zero means the default.
type Config struct {
	Catalog *catalog.Catalog // needed
	List    List             // needed
	// Dataset is which one a command without a dataset is about: "Default", or the
	// only one there is.
	Dataset string
	// WriteLog has writes go through a replicated log, whose members are this gateway and
	// its Peers; nil: writes are refused.
	WriteLog *LogConfig
	// Peers are the other gateways of the same catalog, and Self is this one among
	// them. All have to have the same names for each other.
	Peers      []Peer
	Self       string
	PeerClient PeerClient // needed if there are Peers

	MaxConns     int           // connections to one volume at a time: 512
	MaxAnswer    int           // bytes of one answer: 256 MiB
	MaxCommands  int           // commands under way at a time: 4096
	DialTimeout  time.Duration // 1 s
	ReadTimeout  time.Duration // how long a read is tried: 60 s
	WriteTimeout time.Duration // how long a write waits until it may be acknowledged: 60 s
	// WriteWait is how long a write waits for a further replica when one has it: 300 ms.
	// Then that replica gets it later, and is not read from until it has it. It is also how
	// long a write waits for a replica if none can be reached.
	WriteWait time.Duration
	// HedgeShare is how many further attempts there may be because of late answers,
	// as a share of the reads: 0.01. Negative: none. A server that has fallen silent
	// altogether is not counted: its reads all go elsewhere at once.
	HedgeShare float64
	Log        *slog.Logger // nil: nothing is logged

	dial func(addr string, timeout time.Duration) (net.Conn, error) // nil: TCP
}

// Validate returns all faults at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Catalog == nil || len(c.Catalog.Datasets) == 0 {
		errs = append(errs, errors.New("dispatch: no catalog"))
	} else if c.Dataset != "" && c.Catalog.Dataset(c.Dataset) == nil {
		errs = append(errs, fmt.Errorf("%w %q", ErrUnknownDataset, c.Dataset))
	}
	if c.List == nil {
		errs = append(errs, errors.New("dispatch: no live-node list"))
	}
	if len(c.Peers) > 0 && (c.PeerClient == nil || c.Self == "") {
		errs = append(errs, errors.New("dispatch: peers without a client or a name of one's own"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"DialTimeout", c.DialTimeout}, {"ReadTimeout", c.ReadTimeout}, {"WriteTimeout", c.WriteTimeout},
		{"WriteWait", c.WriteWait},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("dispatch: %s is negative", d.name))
		}
	}
	if c.MaxConns < 0 || c.MaxAnswer < 0 || c.MaxCommands < 0 {
		errs = append(errs, errors.New("dispatch: a bound is negative"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	number := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	span := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	number(&c.MaxConns, 512)
	number(&c.MaxAnswer, 256<<20)
	number(&c.MaxCommands, 4096)
	span(&c.DialTimeout, time.Second)
	span(&c.ReadTimeout, 60*time.Second)
	span(&c.WriteTimeout, 60*time.Second)
	span(&c.WriteWait, 300*time.Millisecond)
	if c.WriteLog != nil {
		own := *c.WriteLog
		number(&own.CompareRate, DefaultCompareRate)
		number(&own.CompareRest, compareRest)
		span(&own.ComparePause, comparePause)
		c.WriteLog = &own
	}
	if c.HedgeShare == 0 {
		c.HedgeShare = 0.01
	}
	if c.dial == nil {
		c.dial = sock.Dial
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dataset == "" && len(c.Catalog.Datasets) == 1 {
		c.Dataset = c.Catalog.Datasets[0].Name
	}
	if c.Dataset == "" {
		c.Dataset = "Default"
	}
	return c
}
