package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

// Resolver looks up the addresses of a host. net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	joinsAtOnce    = 8  // attempts under way in one Join
	maxJoinTargets = 64 // addresses that one name may stand for
	resolveTimeout = 10 * time.Second
)

// errNoName is Serf's text.
var errNoName = errors.New("empty node name provided")

// target is one address to join by.
type target struct {
	addr netip.AddrPort
	name string // of the node there; "" if not said
}

// SplitTarget reads HOST, HOST:PORT or NAME/ADDRESS. A name may hold slashes and
// colons, an address cannot: the last slash divides.
func SplitTarget(s string, port uint16) (name, host string, p uint16, err error) {
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		if name, s = s[:i], s[i+1:]; name == "" {
			return "", "", 0, errNoName
		}
	}
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		// No port. A bare IPv6 address is all colons; in brackets it is not.
		bare := s
		if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
			bare = s[1 : n-1]
		}
		if ip, ipErr := netip.ParseAddr(bare); ipErr == nil {
			return name, ip.String(), port, nil
		}
		if strings.ContainsAny(s, ":[]") {
			return "", "", 0, err
		}
		return name, s, port, nil
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", "", 0, err
	}
	return name, host, uint16(n), nil
}

// resolve turns what a user wrote into addresses. Without a port, it is the
// port that this node is bound to, as in Serf.
func (a *Agent) resolve(ctx context.Context, s string) ([]target, error) {
	name, host, port, err := SplitTarget(s, a.transport.Addr().Port())
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []target{{netip.AddrPortFrom(ip.Unmap(), port), name}}, nil
	}
	if host == "" {
		return nil, errors.New("no host in address")
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := a.cfg.Resolve.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var out []target
	for _, ip := range ips {
		if len(out) == maxJoinTargets {
			break
		}
		out = append(out, target{netip.AddrPortFrom(ip.Unmap(), port), name})
	}
	return out, nil
}

// Join exchanges states with every address that addrs stand for, several at a
// time, and returns with how many that went well. There is an error only if
// none did; its text is Serf's, one line for each fault in the order of addrs.
func (a *Agent) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	a.logger.Info(fmt.Sprintf("agent: joining: %v replay: %v", addrs, replay))
	n, err := a.join(ctx, addrs, replay)
	if n > 0 {
		a.logger.Info(fmt.Sprintf("agent: joined: %d nodes", n))
	}
	if err != nil {
		a.logger.Warn("agent: error joining: " + strings.TrimSpace(err.Error()))
	}
	return n, err
}

func (a *Agent) join(ctx context.Context, addrs []string, replay bool) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()

	results := make([]joinFaults, len(addrs)) // by address, so that faults come in order
	slots := make(chan struct{}, joinsAtOnce)
	var wg sync.WaitGroup
	for i, addr := range addrs {
		slots <- struct{}{}
		wg.Go(func() {
			a.joinOne(ctx, addr, replay, &results[i])
			a.faults.ledger.seed(time.Now(), addr, results[i].faults)
			<-slots
		})
	}
	wg.Wait()
	var faults []error
	joined := 0
	for i := range results {
		joined += results[i].joined
		faults = append(faults, results[i].faults...)
	}
	switch {
	case joined > 0 || len(faults) == 0:
		return joined, nil
	case errors.Is(faults[0], serf.ErrNotAlive):
		return 0, faults[0]
	}
	return 0, joinError(faults)
}

// joinFaults is how it went with one of the addresses that a user gave.
type joinFaults struct {
	joined int
	faults []error
}

func (a *Agent) joinOne(ctx context.Context, addr string, replay bool, r *joinFaults) {
	targets, err := a.resolve(ctx, addr)
	if err != nil {
		err = fmt.Errorf("failed to resolve %s: %w", addr, err)
		a.logger.Warn("memberlist: " + err.Error())
		r.faults = append(r.faults, err)
		return
	}
	errs := make([]error, len(targets))
	slots := make(chan struct{}, joinsAtOnce)
	var wg sync.WaitGroup
	for i, t := range targets {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = a.exchange(ctx, func(now time.Time) (swim.DialID, error) {
				return a.machine.Join(now, t.addr, t.name, !replay)
			})
			<-slots
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err == nil {
			r.joined++
			continue
		}
		if !errors.Is(err, serf.ErrNotAlive) {
			err = fmt.Errorf("failed to join %v: %w", targets[i].addr, plainError{err})
		}
		r.faults = append(r.faults, err)
	}
}

// exchange joins by one address; begin starts it, in the loop.
func (a *Agent) exchange(ctx context.Context, begin func(now time.Time) (swim.DialID, error)) error {
	result := make(chan error, 1)
	var err error
	doErr := a.do(ctx, func(now time.Time) {
		id, joinErr := begin(now)
		if err = joinErr; err == nil {
			a.loop.joins[id] = result
		}
	})
	if doErr != nil {
		return doErr
	}
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		if err == nil {
			a.joined.Store(true)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-a.loopDone:
		return ErrStopped
	}
}

// joinError is several faults as Serf puts them together.
type joinError []error

func (e joinError) Error() string {
	var b strings.Builder
	if len(e) == 1 {
		b.WriteString("1 error occurred:\n")
	} else {
		fmt.Fprintf(&b, "%d errors occurred:\n", len(e))
	}
	for _, err := range e {
		b.WriteString("\t* " + err.Error() + "\n")
	}
	b.WriteString("\n")
	return b.String()
}

// Unwrap lets errors.Is see the faults.
func (e joinError) Unwrap() []error { return e }

// RetryJoin tries to join by addrs, beside everything else, until it works or
// Config.RetryMax is reached. Config.RetryJoin does the same at the start.
func (a *Agent) RetryJoin(addrs []string) {
	if len(addrs) == 0 || a.ctx.Err() != nil {
		return
	}
	a.wg.Go(func() {
		for attempt := 1; ; attempt++ {
			a.logger.Info(fmt.Sprintf("agent: Joining cluster...(replay: %v)", a.cfg.Replay))
			n, err := a.Join(a.ctx, addrs, a.cfg.Replay)
			if a.ctx.Err() != nil || a.isLeaving() {
				return
			}
			if err == nil {
				a.logger.Info(fmt.Sprintf("agent: Join completed. Synced with %d initial agents", n))
				return
			}
			if a.cfg.RetryMax > 0 && attempt > a.cfg.RetryMax {
				a.logger.Error("agent: maximum retry join attempts made, exiting")
				a.end(ErrRetryJoin)
				return
			}
			a.logger.Warn(fmt.Sprintf("agent: Join failed: %v, retrying in %v", strings.TrimSpace(err.Error()), a.cfg.RetryInterval))
			select {
			case <-time.After(a.cfg.RetryInterval):
			case <-a.leaves: // there is nothing left to join for
				return
			case <-a.ctx.Done():
				return
			}
		}
	})
}
