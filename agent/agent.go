package agent

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/agent/snapshot"
	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/livefile"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Agent is one running node. Its methods may be called concurrently.
//
// The machine belongs to the loop (run): nothing else touches it. Everything
// that may wait (sockets, handlers, RPC clients, the log's output) has a
// goroutine and a bounded queue of its own.
type Agent struct {
	cfg    Config
	log    *logging.Log
	logger *slog.Logger
	faults *faults

	transport transport.Transport
	frame     atomic.Pointer[wire.Frame]
	ring      keyring
	spoken    peerKeys
	machine   *serf.Machine
	addr      netip.AddrPort // advertised

	list     live.List
	members  atomic.Pointer[[]serf.Member] // as of the last change
	snapshot *snapshot.Snapshot            // nil: none is kept
	joined   atomic.Bool                   // some exchange that this node began went well
	handlers *handler.Set
	history  history
	began    time.Time // when Start was called
	// restartBy is until when an announced restart is to be done, in Unix nanoseconds.
	restartBy atomic.Int64
	meter     *meter
	metered   metricsState
	counters  counters
	recent    recentMetrics
	sinks     []*metricSink // not changed once the agent runs
	streams   inboundSet
	links     linkSet
	subs      subscribers
	queries   queryRoutes
	answers   answerIDs
	lists     *livefile.Keeper // nil: no file is kept
	tagsLock  sync.Mutex       // one change of tags at a time
	tags      tagLayers        // guarded by tagsLock

	packets, freePackets chan *packet // received
	sends, freeSends     chan *packet // to be sent
	inbound              chan *inboundMessage
	dialed               chan dialResult
	linked               chan linkResult
	sendFailed           chan netip.AddrPort
	commands             chan *command
	keyChanges           chan serf.KeyChange
	historyAsks          chan serf.HistoryAsk
	membersChanged       chan struct{} // for the rejoiner; has room for one
	loop                 loopState

	rpcServer   *rpc.Server
	rpcListener net.Listener
	guard       access.Guard
	tls         *access.TLS // nil: none

	addrFile fs.FileInfo // the address file as it was written; nil: it was not

	ctx        context.Context // ends with Stop
	cancel     context.CancelFunc
	started    atomic.Bool
	stopOnce   sync.Once
	wg         sync.WaitGroup // every goroutine but the handlers'
	loopDone   chan struct{}  // closed when the loop has ended, or will never begin
	left       chan struct{}  // closed when the leave is done
	leaves     chan struct{}  // closed when a leave begins
	leavesOnce sync.Once
	done       chan struct{} // closed when Stop is through
	endErr     error         // why the agent ended by itself; read after done
}

// New checks cfg and returns an agent that does nothing yet.
func New(cfg Config) (*Agent, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	a := &Agent{
		cfg:         cfg,
		packets:     make(chan *packet, packetQueue),
		freePackets: make(chan *packet, packetQueue),
		sends:       make(chan *packet, packetQueue),
		freeSends:   make(chan *packet, packetQueue),
		inbound:     make(chan *inboundMessage, 16),
		dialed:      make(chan dialResult, 16),
		linked:      make(chan linkResult, 16),
		sendFailed:  make(chan netip.AddrPort, 64),
		commands:    make(chan *command, 64),
		keyChanges:  make(chan serf.KeyChange, keyChangesWaiting),
		historyAsks: make(chan serf.HistoryAsk, historyAsks),
		ctx:         ctx,
		cancel:      cancel,
		loopDone:    make(chan struct{}),
		left:        make(chan struct{}),
		leaves:      make(chan struct{}),
		done:        make(chan struct{}),
	}
	a.membersChanged = make(chan struct{}, 1)
	a.meter = newMeter()
	a.counters.init()
	a.members.Store(&[]serf.Member{})
	a.queries.init()
	a.answers.init()
	a.links.init()
	a.spoken.init()
	a.ring = keyring{frame: &a.frame, file: cfg.KeyringFile}
	a.streams.max = cfg.MaxStreams
	return a, nil
}

// Start opens the sockets and begins. RPC answers before the gossip port
// accepts streams. If anything fails, or ctx ends while it joins, everything
// is closed again.
func (a *Agent) Start(ctx context.Context) error {
	if !a.started.CompareAndSwap(false, true) {
		return ErrStarted
	}
	a.began = time.Now()
	a.log = logging.New(a.cfg.LogOutput, a.cfg.LogLevel)
	a.log.SetFormat(a.cfg.LogFormat)
	a.logger = a.log.Logger()
	a.faults = newFaults(a.logger)
	a.handlers = handler.NewSet(a.logger, a.respondToQuery)
	a.handlers.Decline = a.declineQuery
	a.handlers.Recorded = a.recorded
	a.handlers.View = a.list.Current
	a.handlers.Update = a.cfg.UpdateAfterChange
	if isFirst() { // what it leaves behind ends with it
		a.handlers.Linger = firstProcessLinger
	}
	a.handlers.Run = a.timed(a.handlers.Run)
	err := a.start()
	if err == nil && len(a.cfg.Join) > 0 {
		_, err = a.Join(ctx, a.cfg.Join, a.cfg.Replay)
	}
	if err != nil {
		a.Stop()
		return err
	}
	a.RetryJoin(a.cfg.RetryJoin)
	return nil
}

func (a *Agent) start() (err error) {
	fail := func(err error) error {
		close(a.loopDone)
		return err
	}
	if a.cfg.Syslog {
		if err := a.log.UseSyslog(a.cfg.SyslogFacility); err != nil {
			return fail(err)
		}
	}
	a.logStart()
	if err := a.loadTagsFile(); err != nil {
		return fail(err)
	}
	a.tags.base = tagMap(a.cfg.Tags)
	if err := a.loadKeyring(); err != nil {
		return fail(setupError{err})
	}
	if err := a.handlers.Use(a.cfg.EventHandlers, a.cfg.Handlers...); err != nil {
		return fail(err)
	}
	if a.transport, err = a.cfg.Listen(a.cfg.Bind); err != nil {
		return fail(fmt.Errorf("could not set up network transport: %w", err))
	}
	if a.addr, err = advertised(&a.cfg, a.transport.Addr()); err != nil {
		return fail(err)
	}
	frame, err := newFrame(&a.cfg)
	if err != nil {
		return fail(err)
	}
	a.frame.Store(frame)
	if err := a.listenRPC(); err != nil {
		return fail(err)
	}
	store, restored, err := a.openSnapshot()
	if err != nil {
		return fail(err)
	}
	now := time.Now()
	cfg := a.cfg.serfConfig(a.addr, maxOverhead(*frame))
	if a.Encrypted() {
		cfg.Keyring = &a.ring
	}
	restored.Restore(&cfg)
	a.machine, err = serf.New(cfg, newRand(a.cfg.Seed), now)
	if err != nil {
		return fail(err)
	}
	a.keepSnapshot(store)
	a.startLoop(now)
	a.serveRPC()
	a.startMetrics()
	if err := a.transport.Listen(); err != nil {
		return fmt.Errorf("could not set up network transport: %w", err)
	}
	a.wg.Go(a.acceptStreams)
	if err := errors.Join(a.startDiscovery(), a.writeAddrFile()); err != nil {
		return err
	}
	a.keepInTouch(restored)
	return nil
}

// startLoop starts what feeds the machine and acts on what it says.
func (a *Agent) startLoop(now time.Time) {
	a.loop.joins = make(map[swim.DialID]chan<- error)
	a.loop.sent = make(chan struct{})
	a.keepLists()
	a.apply(now) // what New has to say is there before anybody can ask
	a.wg.Go(a.run)
	a.carryPackets()
	if a.Encrypted() {
		a.wg.Go(a.changeKeys)
		a.wg.Go(a.tendKeys)
	}
}

// logStart says that the agent starts, and what it will hold to be a failure.
func (a *Agent) logStart() {
	a.logger.Info("agent: Serf agent starting")
	if !a.cfg.Swim.Plain {
		a.logger.Info(fmt.Sprintf("agent: A node whose host answers may pause for %v without being reported as failed (-detect-within)",
			a.cfg.Swim.Patience().Round(time.Millisecond)))
	}
}

// advertised is the address that the others are told.
func advertised(cfg *Config, bound netip.AddrPort) (netip.AddrPort, error) {
	ip, port := cfg.Advertise.Addr(), cfg.Advertise.Port()
	if port == 0 {
		port = bound.Port()
	}
	if !ip.IsValid() {
		ip = bound.Addr()
	}
	if ip.IsUnspecified() {
		var err error
		if ip, err = privateAddr(); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return netip.AddrPortFrom(ip.Unmap(), port), nil
}

func newFrame(cfg *Config) (*wire.Frame, error) {
	f := &wire.Frame{Label: cfg.Label, EncryptionVersion: 1,
		VerifyIncoming: !cfg.NoVerifyIncoming, VerifyOutgoing: !cfg.NoVerifyOutgoing}
	for _, b := range cfg.Keys {
		k, err := wire.NewKey(b)
		if err != nil {
			return nil, err
		}
		f.Keys = append(f.Keys, k)
	}
	return f, nil
}

// maxOverhead is the frame's even if what goes out is sealed later only.
func maxOverhead(f wire.Frame) int {
	f.VerifyOutgoing = true
	return f.Overhead()
}

func newRand(seed uint64) *rand.Rand {
	if seed != 0 {
		return rand.New(rand.NewPCG(seed, 0))
	}
	var b [16]byte
	_, _ = crand.Read(b[:]) // never fails
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])))
}

// Stop ends the agent at once: without a leave, the others see it fail. It
// returns when every goroutine, socket and handler process is gone; it
// takes at most a few seconds, most of them for handlers that will not end.
func (a *Agent) Stop() {
	a.stopOnce.Do(func() {
		if !a.started.Swap(true) { // never started: nothing to end
			close(a.done)
			return
		}
		a.logger.Info("agent: requesting serf shutdown")
		a.giveUp()
		a.removeAddrFile()
		a.stopRPC()
		a.handlers.Stop()
		a.cancel()
		<-a.loopDone
		if a.transport != nil {
			close(a.sends)
			a.closeTransport()
		}
		a.streams.closeAll()
		a.links.closeAll()
		a.wg.Wait()
		if a.snapshot != nil {
			a.snapshot.Close()
		}
		a.subs.closeAll()
		a.logger.Info("agent: shutdown complete")
		a.log.Close()
		close(a.done)
	})
	<-a.done
}

// giveUp lets the machine know that the end has come: it contradicts no more that it is
// gone, while handlers are still being ended.
func (a *Agent) giveUp() {
	if a.machine != nil {
		_ = a.do(a.ctx, func(time.Time) { a.machine.End() })
	}
}

// closeTransport gives the last packets a moment to get out.
func (a *Agent) closeTransport() {
	t := time.NewTimer(200 * time.Millisecond)
	defer t.Stop()
	select {
	case <-a.loop.sent:
	case <-t.C:
	}
	a.transport.Close()
}

// end stops the agent because of err, nil for a leave, from within.
func (a *Agent) end(err error) {
	a.loop.endOnce.Do(func() {
		a.endErr = err
		go a.Stop()
	})
}

// Done is closed when the agent has ended: by Stop, a leave that came by RPC, a
// lost name conflict or ErrRetryJoin.
func (a *Agent) Done() <-chan struct{} { return a.done }

// Err is why the agent ended by itself, after Done; nil if it left or was stopped.
func (a *Agent) Err() error {
	select {
	case <-a.done:
		return a.endErr
	default:
		return nil
	}
}

// Addr is the address that the others reach this node at.
func (a *Agent) Addr() netip.AddrPort { return a.addr }

// BindAddr is the address that is bound, with the port in use.
func (a *Agent) BindAddr() netip.AddrPort { return a.transport.Addr() }

// RPCAddr is the address of the RPC listener, nil if there is none.
func (a *Agent) RPCAddr() net.Addr {
	if a.rpcListener == nil {
		return nil
	}
	return a.rpcListener.Addr()
}

// Live is the live-node list. It follows the machine at once: events that
// handlers get may be held back to be told together, the list is not.
func (a *Agent) Live() *live.List { return &a.list }

// Log is the agent's log, there after Start.
func (a *Agent) Log() *logging.Log { return a.log }

// Encrypted reports whether there are keys.
func (a *Agent) Encrypted() bool { return len(a.cfg.Keys) > 0 }

// isLeaving reports whether a leave has begun.
func (a *Agent) isLeaving() bool {
	select {
	case <-a.leaves:
		return true
	default:
		return false
	}
}

// HasLeft reports whether a leave is complete: what is left to do is to end.
func (a *Agent) HasLeft() bool {
	select {
	case <-a.left:
		return true
	default:
		return false
	}
}

// InitEnv is the environment variable by which process 1 tells the agent that it runs as its
// child: its own process number.
const InitEnv = "_IBUKI_INIT"

// isFirst reports whether the agent is process 1, or its child in its place.
func isFirst() bool {
	return os.Getpid() == 1 || os.Getppid() == 1 && os.Getenv(InitEnv) == "1"
}

// firstProcessLinger is how long the first process of a container or machine waits at its
// end for a handler in Serf's form, which any other process leaves to itself.
const firstProcessLinger = 10 * time.Second

// Leave tells everybody that this node goes, and returns when they were told
// or the machine's time for it is over. The agent runs on until Stop.
func (a *Agent) Leave(ctx context.Context) error {
	a.logger.Info("agent: requesting graceful leave from Serf")
	a.leavesOnce.Do(func() { close(a.leaves) })
	var err error
	doErr := a.do(ctx, func(now time.Time) {
		if a.machine.State() != serf.Left {
			err = a.machine.Leave(now)
		}
	})
	if err = errors.Join(doErr, err); err != nil {
		return err
	}
	select {
	case <-a.left:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-a.loopDone:
		return ErrStopped
	}
}

// entries are members as the live list has them.
func entries(members []serf.Member) []live.Entry {
	out := make([]live.Entry, len(members))
	for i := range members {
		m := &members[i]
		tags := make([]live.Tag, len(m.Tags))
		for j, t := range m.Tags {
			tags[j] = live.Tag(t)
		}
		out[i] = live.Entry{Name: m.Name, Addr: m.Addr, Tags: tags, Status: liveStatus(m.Status), Since: m.Since,
			Verdict: verdict(m.Verdict.String(), m.Restarting), Degraded: m.Degraded}
	}
	return out
}

func liveStatus(s serf.Status) live.Status {
	switch s {
	case serf.StatusAlive:
		return live.Alive
	case serf.StatusLeaving:
		return live.Leaving
	case serf.StatusLeft:
		return live.Left
	case serf.StatusFailed:
		return live.Failed
	}
	return live.Unknown
}

// streamTimeout bounds what is done on a stream.
func (a *Agent) streamTimeout() time.Duration {
	if d := a.cfg.Swim.StreamTimeout; d > 0 {
		return d
	}
	return swim.LAN().StreamTimeout
}
