package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// everywhere has all live servers of a dataset asked at once: what is about the running
// servers, and not about the data. It waits behind no write, and is kept for nobody.
func (d *Dispatcher) everywhere(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var answers []groonga.Answer
	last := error(ErrNoReplica)
	for _, v := range ds.volumes {
		if !v.listed.Load() || v.state() == down {
			continue
		}
		wg.Go(func() {
			answer, err := d.order(ctx, v, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				last = err
				return
			}
			answers = append(answers, answer)
		})
	}
	wg.Wait()
	if len(answers) == 0 {
		return groonga.Answer{}, last
	}
	return groonga.JoinEverywhere(c, answers), nil
}

// order asks one server, on a connection of its own, for no longer than a read may take.
func (d *Dispatcher) order(ctx context.Context, v *volume, c *groonga.Command) (groonga.Answer, error) {
	a := &attempt{volume: v, start: time.Now()}
	defer time.AfterFunc(d.cfg.ReadTimeout, a.interrupt).Stop()
	defer context.AfterFunc(ctx, a.interrupt)()
	defer context.AfterFunc(d.ctx, a.interrupt)()
	answer, _, err := a.run(c, true)
	switch {
	case err == nil:
	case d.ctx.Err() != nil:
		err = ErrStopped
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, errInterrupted):
		err = ErrTimeout
	default:
		err = errors.Join(ErrNoReplica, err)
	}
	return answer, err
}

// unknown is done with a command that is none of Groonga's: if a server has it of a
// plugin it may change anything; else any server says what is wrong with it, and nothing is kept.
func (d *Dispatcher) unknown(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	servers := ds.readable().all
	answer, err := d.ask(ctx, servers, groonga.ExistCommand(c.Name))
	if err != nil {
		return groonga.Answer{}, err
	}
	if groonga.Exists(answer.Body) {
		return d.write(ctx, ds, c)
	}
	d.reads.Add(1)
	return d.ask(ctx, servers, c)
}
