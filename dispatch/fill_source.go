package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/writelog/applier"
)

const (
	// holdWait is how long a hold may take to begin: what may not be done twice ends first.
	holdWait = 10 * time.Second
	// holdLapse is after how long a hold ends of which the gateway that asked for it is not heard any more.
	holdLapse = 5 * time.Second
	// holdRenew is how often it is heard.
	holdRenew = time.Second
)

// What one gateway asks another about fillings.
const (
	askHold    = "hold"    // of a source: begin
	askRenew   = "renew"   // it is still wanted
	askRelease = "release" // the copy is taken
	askFill    = "fill"    // of a target: have it filled
	askFilling = "filling" // how it stands
)

// fillQuestion is one of them.
type fillQuestion struct {
	Ask     string `json:"ask"`
	Server  string `json:"server,omitempty"`
	Hold    string `json:"hold,omitempty"`
	Discard bool   `json:"discard,omitempty"` // also data that is not known to be a copy of this cluster's
}

// fillAnswer is what is said to it.
type fillAnswer struct {
	Hold     string      `json:"hold,omitempty"`
	Position string      `json:"position,omitempty"`
	Target   *FillTarget `json:"target,omitempty"`
}

// holds are the servers of this gateway from which others are filled now.
type holds struct {
	mu   sync.Mutex
	held map[string]*heldServer
}

// heldServer is one of them.
type heldServer struct {
	*applier.Hold
	server string
	lapse  *time.Timer
}

// asked answers another gateway, or this one.
func (l *logged) asked(ctx context.Context, question []byte) ([]byte, error) {
	var q fillQuestion
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, fmt.Errorf("a question of no known form: %w", err)
	}
	<-l.ready
	var answer fillAnswer
	var err error
	switch q.Ask {
	case askHold:
		answer, err = l.hold(ctx, q.Server)
	case askRenew, askRelease:
		err = l.holds.goOn(l, q.Hold, q.Ask == askRelease)
	case askFill, askFilling:
		answer.Target, err = l.target(&q)
	default:
		err = fmt.Errorf("a question of no known form: %.20q", q.Ask)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// hold begins to hold a server that is this gateway's.
func (l *logged) hold(ctx context.Context, server string) (fillAnswer, error) {
	v := l.d.now().byAddr[server]
	a := l.d.now().appliers[v]
	if v == nil || a == nil {
		return fillAnswer{}, fmt.Errorf("%s is not applied to by this gateway", server)
	}
	if l.member.View().Out[server] != 0 {
		return fillAnswer{}, fmt.Errorf("%w: it is not complete itself", applier.ErrHeld)
	}
	ctx, cancel := context.WithTimeout(ctx, holdWait)
	defer cancel()
	h, err := a.holdOf(ctx)
	if err != nil {
		return fillAnswer{}, err
	}
	l.d.log.Info("server is copied: what may not be done twice waits", "volume", server)
	return fillAnswer{Hold: l.keepHold(server, h), Position: h.Position.Encode()}, nil
}

// keepHold gives a hold a name by which another gateway keeps it, and ends it.
func (l *logged) keepHold(server string, h *applier.Hold) string {
	name := rand.Text()
	l.holds.mu.Lock()
	defer l.holds.mu.Unlock()
	l.holds.held[name] = &heldServer{h, server, time.AfterFunc(holdLapse, func() {
		l.d.log.Warn("server is not held any more", "volume", server, "error", "the gateway that has it copied is not heard of")
		l.holds.end(name)
	})}
	return name
}

// paused takes a hold that an entry of the log has begun.
func (a *volumeApplier) paused(h *applier.Hold) string {
	a.l.d.log.Info("server is backed up: nothing is applied to it", "volume", a.v.addr)
	return a.l.keepHold(a.v.addr, h)
}

// holdOf begins a hold of the applier's.
func (a *volumeApplier) holdOf(ctx context.Context) (*applier.Hold, error) {
	a.mu.Lock()
	made := a.Applier
	a.mu.Unlock()
	if made == nil {
		return nil, fmt.Errorf("%w: nothing is applied to it yet", applier.ErrHeld)
	}
	return made.Hold(ctx)
}

var (
	errHoldLost  = errors.New("the server that is copied was started, or its gateway was")
	errHoldWaits = errors.New("writes have waited for the copy as long as they may (-fill-pause), and no other complete server of the slice takes them")
)

// goOn keeps a hold, or ends it when the copy is taken. An error says that the copy is worth nothing.
func (h *holds) goOn(l *logged, name string, release bool) error {
	h.mu.Lock()
	held := h.held[name]
	h.mu.Unlock()
	if held == nil {
		return errHoldLost
	}
	select {
	case <-held.Lost():
		h.end(name)
		return errHoldLost
	default:
	}
	if held.Waiting(time.Now()) > l.d.cfg.WriteLog.fillPause() && l.member.View().Out[held.server] == 0 {
		h.end(name)
		return errHoldWaits
	}
	if release {
		h.end(name)
		return nil
	}
	held.lapse.Reset(holdLapse)
	return nil
}

// fillPause is how long a write may wait for a copy that nobody else can take it for.
func (c *LogConfig) fillPause() time.Duration {
	if c.FillPause > 0 {
		return c.FillPause
	}
	return 30 * time.Second
}

// end ends a hold.
func (h *holds) end(name string) {
	h.mu.Lock()
	held := h.held[name]
	delete(h.held, name)
	h.mu.Unlock()
	if held != nil {
		held.lapse.Stop()
		held.Release()
	}
}

// endAll ends all: the gateway ends.
func (h *holds) endAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.held { // order-free: each by itself
		held.lapse.Stop()
		held.Release()
	}
	clear(h.held)
}
