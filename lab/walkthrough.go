package lab

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// restTime is how long a step watches that nothing happens: longer than the
// reconnect interval of dev's nodes, so that a node that would come back by
// itself does so.
const restTime = 1500 * time.Millisecond

// walkthrough plays the mission's M2 to M11 in the document's order. node1 is the
// one that leaves, fails and returns, as there.
func (p *play) walkthrough() error {
	for _, part := range []func() error{
		p.stepStart, p.stepJoin, p.stepJoinAgain, p.stepJoinFails,
		p.stepInterrupt, p.stepReturn, p.stepLeave, p.stepReturn,
		p.stepKill, p.stepRestart, p.stepReset, p.stepRestore,
		p.stepEvent, p.stepQuery,
	} {
		if err := part(); err != nil {
			return p.finish(err)
		}
	}
	return p.finish(nil)
}

// all are all nodes, alive.
func (p *play) all() map[*node]string {
	want := map[*node]string{}
	for _, n := range p.c.nodes {
		want[n] = "alive"
	}
	return want
}

// but is all alive except for one.
func (p *play) but(n *node, status string) map[*node]string {
	want := p.all()
	want[n] = status
	return want
}

// others are all nodes except for one.
func (p *play) others(not *node) []*node {
	var nodes []*node
	for _, n := range p.c.nodes {
		if n != not {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func nodeNames(nodes []*node) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	return strings.Join(names, ", ")
}

// awaitBoth waits for the handlers first and then for the lists.
func (p *play) awaitBoth(told, lists func() error) (string, error) {
	atHandlers, err := p.await(told)
	if err != nil {
		return "", err
	}
	atLists, err := p.await(lists)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the last handler had it at %.3fs, the last list at %.3fs", atHandlers, atLists), nil
}

// awaitAlone waits until a node that was just started told its handler of itself,
// and of nobody else so far, and answers commands.
func (p *play) awaitAlone(n *node) error {
	if _, err := p.await(func() error {
		recs, err := p.fresh(n)
		if err != nil || len(recs) == 0 {
			return errors.Join(err, fmt.Errorf("%s's handler was not called", n.name))
		}
		return firstIsSelf(recs, n)
	}); err != nil {
		return err
	}
	_, err := p.await(func() error { _, err := p.members(n); return err })
	return err
}

// firstIsSelf: the first thing that a handler hears is its own node's join.
func firstIsSelf(recs []handlerRecord, n *node) error {
	first := recs[0]
	if !hasMember(recs[:1], "member-join", n) {
		return fmt.Errorf("%s's handler first got %s %q, not the join of itself", n.name, first.Env["SERF_EVENT"], first.Stdin)
	}
	return nil
}

func (p *play) stepStart() error {
	return p.step("M2", "start each agent",
		"each handler gets member-join with its own line; each node lists itself alone",
		func() (string, error) {
			if err := p.c.startAll(); err != nil {
				return "", err
			}
			for _, n := range p.c.nodes {
				if err := p.awaitAlone(n); err != nil {
					return "", err
				}
				if err := p.lists([]*node{n}, map[*node]string{n: "alive"}); err != nil {
					return "", err
				}
			}
			rec, err := p.fresh(p.c.nodes[0])
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("node0's handler: SERF_EVENT=%s, stdin %q", rec[0].Env["SERF_EVENT"], rec[0].Stdin), nil
		})
}

func (p *play) stepJoin() error {
	node0 := p.c.nodes[0]
	return p.step("M3", "join: "+node0.name+" the second, each further node the one before it",
		"every handler gets member-join for every other node; M4: members lists all as alive",
		func() (string, error) {
			for i, n := range p.c.nodes[1:] {
				from, to := n, p.c.nodes[i] // any member will do as the target
				if i == 0 {
					from, to = node0, n
				}
				if _, err := p.succeed(from, "join", to.place.target()); err != nil {
					return "", err
				}
			}
			return p.awaitBoth(
				func() error { return p.told(p.c.nodes, "member-join", p.c.nodes...) },
				func() error { return p.lists(p.c.nodes, p.all()) })
		})
}

func (p *play) stepJoinAgain() error {
	return p.step("M3", "join again, each node each other one",
		"every join exits 0, no handler is called, all stay alive",
		func() (string, error) {
			for _, from := range p.c.nodes[:3] {
				for _, to := range p.c.nodes[:3] {
					if from == to {
						continue
					}
					if _, err := p.succeed(from, "join", to.place.target()); err != nil {
						return "", err
					}
				}
			}
			if err := p.holds(restTime/3, p.silent); err != nil {
				return "", err
			}
			return "6 joins, silence", p.lists(p.c.nodes, p.all())
		})
}

// silent demands that no handler was called since the step began.
func (p *play) silent() error {
	for _, n := range p.c.nodes {
		recs, err := p.fresh(n)
		if err != nil {
			return err
		}
		if len(recs) > 0 {
			return fmt.Errorf("%s's handler got %s %q", n.name, recs[0].Env["SERF_EVENT"], recs[0].Stdin)
		}
	}
	return nil
}

func (p *play) stepJoinFails() error {
	node0, node1 := p.c.nodes[0], p.c.nodes[1]
	nobody := place{host: node0.place.host, port: 1} // nothing listens there
	return p.step("M3", "join an address where nobody is, then fall back to the next",
		"the join says so and exits non-zero; the next one exits 0",
		func() (string, error) {
			bad, err := p.command(node0, "join", nobody.bind())
			if err != nil {
				return "", err
			}
			if bad.code <= 0 || strings.TrimSpace(bad.stdout+bad.stderr) == "" {
				return "", errors.New(bad.String())
			}
			_, err = p.succeed(node0, "join", node1.place.target())
			return bad.String(), err
		})
}

// stepGone is what M5 demands after node1 went, in one way or the other.
func (p *play) stepGone(node1 *node, how string) (string, error) {
	if err := p.c.ended(node1, p.limit); err != nil {
		return "", err
	}
	if node1.code != 0 {
		return "", fmt.Errorf("%s ended with exit code %d after %s", node1.name, node1.code, how)
	}
	left := p.others(node1)
	return p.awaitBoth(
		func() error { return p.told(left, "member-leave", node1) },
		func() error { return p.lists(left, p.but(node1, "left")) })
}

func (p *play) stepInterrupt() error {
	node1 := p.c.nodes[1]
	return p.step("M5", "end the agent's process of node1 (Ctrl-C)",
		"it ends; the others get member-leave and list it as left",
		func() (string, error) {
			if err := p.c.interrupt(node1); err != nil {
				return "", err
			}
			return p.stepGone(node1, "an interrupt")
		})
}

func (p *play) stepLeave() error {
	node1 := p.c.nodes[1]
	return p.step("M5", "leave on node1",
		"the command exits 0, the process ends; the others get member-leave and list it as left",
		func() (string, error) {
			p.c.mu.Lock()
			node1.asked = true
			p.c.mu.Unlock()
			if _, err := p.succeed(node1, "leave"); err != nil {
				return "", err
			}
			return p.stepGone(node1, "leave")
		})
}

func (p *play) stepReturn() error {
	node0, node1 := p.c.nodes[0], p.c.nodes[1]
	if err := p.step("M6", "start node1 again, without a join",
		"it stands alone: it lists only itself, the others list it as left, and it stays so",
		func() (string, error) {
			if err := p.c.start(node1); err != nil {
				return "", err
			}
			if err := p.awaitAlone(node1); err != nil {
				return "", err
			}
			return "so it stayed", p.holds(restTime, func() error {
				if err := p.lists([]*node{node1}, map[*node]string{node1: "alive"}); err != nil {
					return err
				}
				return p.lists(p.others(node1), p.but(node1, "left"))
			})
		}); err != nil {
		return err
	}
	return p.step("M6", "join from node1",
		"the others get member-join for node1; all lists show all as alive",
		func() (string, error) {
			if _, err := p.succeed(node1, "join", node0.place.target()); err != nil {
				return "", err
			}
			return p.awaitBoth(
				func() error { return p.told(p.others(node1), "member-join", node1) },
				func() error { return p.lists(p.c.nodes, p.all()) })
		})
}

func (p *play) stepKill() error {
	node1 := p.c.nodes[1]
	return p.step("M7", "kill -9 the agent of node1",
		"the others get member-failed for node1 and list it as failed",
		func() (string, error) {
			if err := p.c.kill(node1); err != nil {
				return "", err
			}
			return p.stepFailed(node1)
		})
}

func (p *play) stepFailed(node1 *node) (string, error) {
	left := p.others(node1)
	return p.awaitBoth(
		func() error { return p.told(left, "member-failed", node1) },
		func() error { return p.lists(left, p.but(node1, "failed")) })
}

func (p *play) stepRestart() error {
	return p.step("M8", "start node1 again, nothing else",
		"the others get member-join by themselves; node1's handler first gets its own join, then (or with it) the others'; all alive",
		p.stepComesBack)
}

// stepComesBack starts node1 and waits until the others found it.
func (p *play) stepComesBack() (string, error) {
	node1 := p.c.nodes[1]
	if err := p.c.start(node1); err != nil {
		return "", err
	}
	happened, err := p.awaitBoth(
		func() error {
			if err := p.told(p.others(node1), "member-join", node1); err != nil {
				return err
			}
			return p.told([]*node{node1}, "member-join", p.c.nodes...)
		},
		func() error { return p.lists(p.c.nodes, p.all()) })
	if err != nil {
		return "", err
	}
	recs, err := p.fresh(node1)
	if err != nil {
		return "", err
	}
	// Where the others come within the time that joins are collected, one call
	// tells of all.
	if len(recs) == 1 {
		happened += "; " + node1.name + "'s handler had all joins in one call"
	} else {
		happened += fmt.Sprintf("; %s's handler had its own join %.3fs before the last", node1.name,
			recs[len(recs)-1].At.Sub(recs[0].At).Seconds())
	}
	return happened, firstIsSelf(recs, node1)
}

func (p *play) stepReset() error {
	node1 := p.c.nodes[1]
	return p.step("M9", "node1's whole machine stops in its tracks",
		"the others get member-failed for node1, list it as failed, and it stays so",
		func() (string, error) {
			if err := p.resetHost(node1); err != nil {
				return "", err
			}
			happened, err := p.stepFailed(node1)
			if err != nil {
				return "", err
			}
			if p.reset == nil { // the reset wipes the process that was frozen
				if err := p.c.kill(node1); err != nil {
					return "", err
				}
			}
			return happened, p.holds(restTime, func() error {
				return p.lists(p.others(node1), p.but(node1, "failed"))
			})
		})
}

// resetHost stops a host: nothing of it answers any more, and nothing says so.
func (p *play) resetHost(n *node) error {
	if p.reset != nil {
		return p.reset(n)
	}
	return p.c.freeze(n)
}

func (p *play) stepRestore() error {
	node1 := p.c.nodes[1]
	return p.step("M9", "the machine is back, its agent is started",
		"the survivors' message makes it join: member-join everywhere, all alive",
		func() (string, error) {
			if p.restore != nil {
				if err := p.restore(node1); err != nil {
					return "", err
				}
			}
			return p.stepComesBack()
		})
}

// heard demands a user event or query at a node's handler since the step began.
func (p *play) heard(n *node, want map[string]string, data string) error {
	recs, err := p.fresh(n)
	if err != nil {
		return err
	}
	for _, rec := range recs {
		same := strings.TrimSuffix(rec.Stdin, "\n") == data
		for key, value := range want { // order-free: all have to be so
			same = same && rec.Env[key] == value
		}
		if same {
			return nil
		}
	}
	return fmt.Errorf("%s's handler did not get %v with %q; it got %v", n.name, want, data, handlerTexts(recs))
}

func handlerTexts(recs []handlerRecord) []string {
	texts := make([]string, len(recs))
	for i, rec := range recs {
		texts[i] = fmt.Sprintf("%v %q", rec.Env, rec.Stdin)
	}
	return texts
}

func (p *play) stepEvent() error {
	want := map[string]string{"SERF_EVENT": "user", "SERF_USER_EVENT": "my-event"}
	for i, sender := range p.c.nodes[:2] {
		data := strings.Repeat("again-", i) + "my-data"
		if err := p.step("M10", fmt.Sprintf("event \"my-event\" %q on %s", data, sender.name),
			"every handler, the sender's too, gets SERF_EVENT=user, SERF_USER_EVENT=my-event, and the data on stdin",
			func() (string, error) {
				if _, err := p.succeed(sender, "event", "my-event", data); err != nil {
					return "", err
				}
				at, err := p.await(func() error {
					for _, n := range p.c.nodes {
						if err := p.heard(n, want, data); err != nil {
							return err
						}
					}
					return nil
				})
				return fmt.Sprintf("the last handler had it at %.3fs", at), err
			}); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) stepQuery() error {
	node0, node1 := p.c.nodes[0], p.c.nodes[1]
	want := map[string]string{"SERF_EVENT": "query", "SERF_USER_QUERY": "my-event", "SERF_QUERY_NAME": "my-event"}
	for _, sender := range []*node{node0, node1} {
		if err := p.step("M11", fmt.Sprintf("query -node=%s \"my-event\" \"my-data\" on %s", node1.name, sender.name),
			"only "+node1.name+"'s handler gets SERF_EVENT=query, SERF_USER_QUERY and SERF_QUERY_NAME, and my-data on stdin",
			func() (string, error) {
				r, err := p.succeed(sender, "query", "-node="+node1.name, "my-event", "my-data")
				if err != nil {
					return "", err
				}
				at, err := p.await(func() error { return p.heard(node1, want, "my-data") })
				if err != nil {
					return "", err
				}
				for _, n := range p.others(node1) {
					recs, err := p.fresh(n)
					if err != nil || len(recs) > 0 {
						return "", errors.Join(err, fmt.Errorf("%s's handler got %v", n.name, handlerTexts(recs)))
					}
				}
				if !strings.Contains(r.stdout, node1.name+" heard my-data") {
					return "", fmt.Errorf("the answer is missing: %v", r)
				}
				return fmt.Sprintf("heard by %.3fs, the answer printed; nothing at %s", at, nodeNames(p.others(node1))), nil
			}); err != nil {
			return err
		}
	}
	return nil
}
