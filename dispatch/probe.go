package dispatch

import (
	"errors"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// statusCommand is what a server is asked to see whether it is there.
var statusCommand = &groonga.Command{Name: "status"}

// answered notes an answer of a volume.
func (d *Dispatcher) answered(v *volume, took time.Duration) {
	v.lastAnswer.Store(int64(time.Since(d.epoch)))
	v.answers.Add(1)
	v.latency.add(took)
	d.latency.add(took)
	if v.state() == late {
		v.setState(up, time.Now(), "")
	}
}

// failed notes that a volume's server gave no answer, and has it asked until it
// does. Nothing waits for the list to say so too.
func (d *Dispatcher) failed(v *volume, err error) {
	v.failures.Add(1)
	if !v.setState(down, time.Now(), err.Error()) {
		return
	}
	d.log.Info("server does not answer", "volume", v.addr, "error", err)
	v.started.Store(0) // it may be another one when it is back
	v.pool.drop()
	if errors.Is(err, syscall.ECONNREFUSED) {
		// Nobody listens any more: what is under way there will not be answered.
		v.interruptAll()
	}
	v.probeNow()
}

// probeNow wakes the prober.
func (v *volume) probeNow() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// prober asks a volume that is late or down whether it is there, until it is.
func (d *Dispatcher) prober(v *volume) {
	for {
		select {
		case <-v.ctx.Done():
			return
		case <-v.wake:
		}
		pause := probeFirst
		for v.state() != up {
			if err := d.probe(v); err == nil {
				d.back(v)
				break
			} else if v.state() == late && v.setState(down, time.Now(), err.Error()) {
				d.log.Info("server does not answer", "volume", v.addr, "error", err)
				v.pool.drop()
				v.interruptAll()
			}
			select {
			case <-v.ctx.Done():
				return
			case <-v.wake:
			case <-time.After(pause):
			}
			pause = min(2*pause, probeLimit)
		}
	}
}

// back notes that a volume's server answers again.
func (d *Dispatcher) back(v *volume) {
	v.lastAnswer.Store(int64(time.Since(d.epoch)))
	before := v.state()
	if v.setState(up, time.Now(), "") && before == down {
		d.log.Info("server answers again", "volume", v.addr)
	}
}

// probe asks once whether the server is there, and has its data.
func (d *Dispatcher) probe(v *volume) error {
	v.inspecting <- struct{}{}
	defer func() { <-v.inspecting }()
	return d.inspect(v)
}
