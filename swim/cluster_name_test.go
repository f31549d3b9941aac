package swim

import (
	"errors"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

func named(c *Config) { c.Cluster, c.Meta = "east", []byte("east") }

// cluster is the i-th member as a push/pull has it, of a cluster.
func memberOf(i int, cluster string) wire.PushNodeState {
	n := stateOf(i, 1, wire.StateAlive)
	n.Meta = []byte(cluster)
	return n
}

// P246, and of P247 the states that have both.
func TestP246_StatesOfOtherClusters(t *testing.T) {
	for _, c := range []struct {
		name        string
		members     []string // their clusters, of node1 on
		ok          bool
		taken, left string
	}{
		{"ours", []string{"east", "east"}, true, "12", ""},
		{"of no name", []string{"", ""}, true, "12", ""},
		{"ours and of no name", []string{"", "east"}, true, "12", ""},
		{"another", []string{"west"}, false, "", "1"},
		{"another, and of no name", []string{"", "west"}, false, "", "12"},
		{"both", []string{"west", "", "east", "north"}, true, "23", "14"},
	} {
		var nodes []wire.PushNodeState
		for i, cluster := range c.members {
			nodes = append(nodes, memberOf(i+1, cluster))
		}
		r := newRig(t, quiet, named)
		r.in(aliveOf(8, 1).AppendTo(nil)) // somebody is known already
		reply := r.HandleStream(r.now, other, pushPullOf(true, nil, nodes...))
		r.take()
		check := func(what string) {
			t.Helper()
			for _, i := range c.taken {
				if r.state(int(i-'0')) != wire.StateAlive {
					t.Errorf("%s, %s: node%c was not taken in", c.name, what, i)
				}
			}
			for _, i := range c.left {
				if r.Member(nameOf(int(i-'0'))) != nil {
					t.Errorf("%s, %s: node%c was taken in", c.name, what, i)
				}
			}
		}
		check("asked")
		if isErr := wire.Type(reply[0]) == wire.TypeErr; isErr == c.ok {
			t.Errorf("%s: the answer is %q", c.name, reply)
		}
		// The same in the answer to a join.
		r = newRig(t, quiet, named)
		r.Join(r.now, other, "")
		r.take()
		r.HandleDialed(r.now, r.dials[0].ID, pushPullOf(true, nil, nodes...), nil)
		r.take()
		check("answered")
		if err := r.joins[0].Err; (err == nil) != c.ok || err != nil && !errors.Is(err, ErrCluster) {
			t.Errorf("%s: join gives %v", c.name, err)
		}
		if err := r.joins[0].Err; err != nil && !strings.Contains(err.Error(), `"west" and "east"`) {
			t.Errorf("%s: the error is %v", c.name, err)
		}
	}
}

// P245, P247: without a name everybody is taken in; with one those of no name and of its own.
func TestP247_ClaimsAboutOtherClusters(t *testing.T) {
	for _, own := range []bool{true, false} {
		r := newRig(t, quiet)
		if own {
			r = newRig(t, quiet, named)
		}
		for i, cluster := range []string{"east", "west", "", "west"} {
			a := aliveOf(i+1, 1)
			a.Meta = []byte(cluster)
			r.in(a.AppendTo(nil))
		}
		for i, want := range []bool{true, !own, true, !own} {
			if known := r.Member(nameOf(i+1)) != nil; known != want {
				t.Errorf("with a name %v: node%d is known: %v", own, i+1, known)
			}
		}
		if n := r.Drops()[DropCluster]; own && n != 2 || !own && n != 0 {
			t.Errorf("with a name %v: %d refused", own, n)
		}
		if n := len(r.traced(TraceClusterRefused)); own && n != 1 {
			t.Errorf("told %d times within a minute", n)
		}
	}
}
