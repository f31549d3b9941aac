//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// massCase is a number of agents of which some are killed at the same moment.
type massCase struct{ agents, killed int }

// massCases reads the cases of -mass.
func (o *options) massCases() (cases []massCase, err error) {
	for _, s := range strings.Split(o.mass, ",") {
		a, k, _ := strings.Cut(s, ":")
		agents, err1 := strconv.Atoi(a)
		killed, err2 := strconv.Atoi(k)
		if err1 != nil || err2 != nil || agents > 200 || killed < 1 || killed >= agents {
			return nil, fmt.Errorf("-mass: %q is not AGENTS:KILLED with at most 200 agents, of which at least one survives", s)
		}
		cases = append(cases, massCase{agents, killed})
	}
	return cases, nil
}

// mass kills many agents of a cluster at the same moment, drawn at random, the first
// one included, and waits until each survivor has reported each of them.
func (b *runner) mass(k *kind, _ int) error {
	cases, err := b.o.massCases()
	if err != nil {
		return err
	}
	for _, x := range cases {
		if err := b.massOf(k, x); err != nil { // the other cases are measured all the same
			fmt.Fprintf(os.Stderr, "mass, %d of %d %s: %v\n", x.killed, x.agents, k.name, err)
			b.results.fail(x.name(), x.agents, k.name)
		}
	}
	return nil
}

func (x massCase) name() string {
	return fmt.Sprintf("%d killed at once: all survivors report all", x.killed)
}

func (b *runner) massOf(k *kind, x massCase) error {
	c, err := newCluster(b, k, x.agents, false)
	if err != nil {
		return err
	}
	defer c.end()
	time.Sleep(b.o.massAfter)
	order := append([]int{0}, rand.Perm(x.agents-1)...)
	for i := range order[1:] {
		order[i+1]++
	}
	var victims, survivors []*agent
	for i, at := range order {
		if i < x.killed {
			victims = append(victims, c.agents[at])
		} else {
			survivors = append(survivors, c.agents[at])
		}
	}
	began := time.Now()
	for _, v := range victims {
		v.signal(syscall.SIGKILL)
	}
	for _, v := range victims {
		<-v.gone
	}
	reaped := time.Now()
	last, missing := reported(survivors, victims, began, b.o.massLimit)
	if missing > 0 {
		return fmt.Errorf("%d of %d reports are missing after %v", missing, len(survivors)*len(victims), b.o.massLimit)
	}
	if n := falselyFailed(survivors, began); n > 0 {
		return fmt.Errorf("%d survivors are reported as failed", n)
	}
	return b.add(x.name(), c, max(0, last.Sub(reaped)), nil)
}

// reported waits until all survivors have reported all victims, and returns when the
// last report came, or how many are missing.
func reported(survivors, victims []*agent, since time.Time, limit time.Duration) (last time.Time, missing int) {
	await(limit, func() bool {
		last, missing = since, 0
		for _, s := range survivors {
			at, n := s.reports("member-failed", since)
			for _, v := range victims {
				if !n[v.name] {
					missing++
				}
			}
			if at.After(last) {
				last = at
			}
		}
		return missing == 0
	})
	return last, missing
}

// reports are the names in the events of one kind since then, and when the last of those events came.
func (a *agent) reports(kind string, since time.Time) (last time.Time, names map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	names = map[string]bool{}
	for _, h := range a.seen {
		if h.kind != kind || h.at.Before(since) {
			continue
		}
		last = h.at
		for _, n := range h.names {
			names[n] = true
		}
	}
	return last, names
}

// falselyFailed counts the reports of survivors about survivors.
func falselyFailed(survivors []*agent, since time.Time) (n int) {
	for _, s := range survivors {
		_, names := s.reports("member-failed", since)
		for _, other := range survivors {
			if names[other.name] {
				n++
			}
		}
	}
	return n
}
