package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
	"github.com/ibuki-dev/ibuki/writelog/fill"
)

const (
	// pinFor is how long a source is held at least: until then the leader knows from where on the log is to be kept.
	pinFor = 500 * time.Millisecond
	// dumpIdle is how long the source may say nothing while it dumps.
	dumpIdle = time.Minute
)

// dumping is a dump of a server that is being taken while the server is held.
type dumping struct {
	l       *logged
	from    *volume
	command *groonga.Command
	gateway string // that applies the log to it
	hold    string
	begun   time.Time
	spool   *fill.Spool
	taking  sync.WaitGroup
	ended   chan error // what became of the dump
}

// copying is a copy of a server that is being taken.
type copying struct {
	dumping
	a        *volumeApplier
	cancel   context.CancelCauseFunc
	position *applier.Position
}

// begin has a source held, the first that can be, and its dump taken.
func (a *volumeApplier) begin(ctx context.Context, cancel context.CancelCauseFunc) (*copying, error) {
	err := errNoSource
	for _, server := range a.sources() {
		c := &copying{a: a, cancel: cancel, dumping: dumping{
			l: a.l, from: a.l.d.now().byAddr[server], command: &groonga.Command{Name: "dump"}, ended: make(chan error, 1),
		}}
		if err = c.begin(ctx); err == nil {
			a.l.d.log.Info("server is filled", "volume", a.v.addr, "from", server)
			a.mu.Lock()
			a.filler.now.From = server
			a.mu.Unlock()
			return c, nil
		}
		err = fmt.Errorf("%s: %w", server, err)
	}
	return nil, err
}

func (c *copying) begin(ctx context.Context) error {
	l := c.l
	c.gateway = l.gatewayOf(c.from)
	answer, err := l.ask(ctx, c.gateway, &fillQuestion{Ask: askHold, Server: c.from.addr})
	if err != nil {
		return err
	}
	c.hold, c.begun = answer.Hold, time.Now()
	at, err := applier.DecodePosition(answer.Position)
	if err != nil {
		return err
	}
	c.position = &at
	_, most := l.member.Size()
	if c.spool, err = fill.NewSpool(l.d.cfg.WriteLog.Dir, most); err != nil {
		return err
	}
	c.taking.Go(func() { c.take(ctx, c.cancel) })
	c.taking.Go(func() { c.watch(ctx) })
	return nil
}

// end gives up what is still under way.
func (c *copying) end(ctx context.Context) {
	c.cancel(nil)
	c.dumping.end(ctx)
}

// end ends the hold, if it is still there, and removes the spool. What ctx was is over.
func (c *dumping) end(ctx context.Context) {
	if c.spool != nil {
		c.spool.End(context.Canceled)
	}
	c.taking.Wait()
	_, _ = c.l.ask(context.WithoutCancel(ctx), c.gateway, &fillQuestion{Ask: askRelease, Hold: c.hold}) // else it lapses
	if c.spool == nil {
		return
	}
	if err := c.spool.Close(); err != nil {
		c.l.d.log.Warn("dump", "error", err)
	}
}

// watch gives the filling up when the log must not be kept any longer.
func (c *copying) watch(ctx context.Context) {
	for pause(ctx, holdRenew) == nil {
		if size, most := c.a.l.member.Size(); size > most/10*9 {
			c.cancel(errLogBound)
		}
	}
}

// take reads the source's dump while the source is held. cancel ends all of what it is for.
func (c *dumping) take(ctx context.Context, cancel context.CancelCauseFunc) {
	err := c.dump(ctx)
	if err == nil {
		_, err = c.l.ask(ctx, c.gateway, &fillQuestion{Ask: askRelease, Hold: c.hold})
	}
	if err != nil {
		err = fmt.Errorf("the dump of %s: %w", c.from.addr, err)
		cancel(err)
	}
	c.spool.End(err)
	c.ended <- err
}

func (c *dumping) dump(ctx context.Context) error {
	d := c.l.d
	dumped := make(chan error, 1)
	before, err := d.question(c.from, statusCommand)
	if err != nil {
		return err
	}
	c.taking.Go(func() { dumped <- d.stream(ctx, c.from, c.command, c.spool) })
	for waiting := true; waiting; {
		select {
		case err = <-dumped:
			waiting = false
		case <-time.After(holdRenew):
			if _, err := c.l.ask(ctx, c.gateway, &fillQuestion{Ask: askRenew, Hold: c.hold}); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	if err := pause(ctx, time.Until(c.begun.Add(pinFor))); err != nil {
		return err
	}
	// One that is shut down ends its dump as if it was complete.
	after, err := d.question(c.from, statusCommand)
	if err == nil && startOf(after.Body) != startOf(before.Body) {
		err = errHoldLost
	}
	return err
}

// copy has the server hold what the source's dump says, and know where in the log that is.
func (c *copying) copy(ctx context.Context, at applier.Position, discard bool) error {
	a, source := c.a, oneServer{c.a.l.d, c.from}
	if err := applier.Prepare(ctx, a, at.Cluster, c.hold, discard); err != nil {
		if errors.Is(err, applier.ErrForeign) {
			err = fmt.Errorf("%w: it is filled if it is asked for with -discard", err)
		}
		return err
	}
	// A gateway that is cut off from the log goes by an old read set: it sees the mark (fit).
	if err := pause(ctx, 3*watchStarts/2); err != nil {
		return err
	}
	if err := fill.Empty(ctx, a); err != nil {
		return err
	}
	a.step("loading")
	err := fill.Load(ctx, source, a, c.spool, func(rows int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.filler.now.Rows += rows
	})
	if err != nil {
		return err
	}
	if err := <-c.ended; err != nil {
		return err
	}
	a.step("forcing it to its disk")
	return applier.Adopt(ctx, a, at, c.hold)
}

// oneServer is a server as a fill.Server.
type oneServer struct {
	d *Dispatcher
	v *volume
}

// Do asks it.
func (s oneServer) Do(_ context.Context, c *groonga.Command) (groonga.Answer, error) {
	return s.d.question(s.v, c)
}

// stream sends a command to a server and copies what it answers, however long it is.
func (d *Dispatcher) stream(ctx context.Context, v *volume, c *groonga.Command, w io.Writer) error {
	cn, err := v.pool.dial(ctx.Done())
	if err != nil {
		return err
	}
	defer cn.end()
	nc := cn.Conn // cn is somebody else's afterwards
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	if _, err := cn.Write(appendRequest(nil, c, v.addr)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(cn.in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s with %s", c.Name, resp.Status)
	}
	buffer := make([]byte, 256<<10)
	for {
		_ = cn.SetReadDeadline(time.Now().Add(dumpIdle))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := resp.Body.Read(buffer)
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
