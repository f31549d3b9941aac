#!/usr/bin/env bash
# A follower of etcd's raft forwards a proposal to the leader. One would expect that a
# proposal dies with the term of that leader: once a new leader has committed newer
# proposals, the old one is lost for good. It is not. The forwarded message carries no
# term, so when it reaches the deposed leader late, that node forwards it once more, and
# the new leader commits it behind the newer ones. With DisableProposalForwarding the
# follower refuses at once, and nothing comes late.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod GOWORK=off

cat >main.go <<'GO'
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// net is three nodes in memory. What is sent to or by a frozen node waits.
type net struct {
	nodes   [3]*raft.RawNode
	stores  [3]*raft.MemoryStorage
	frozen  int // index, -1: none
	waiting []*pb.Message
	applied []string // by node 3
}

func newNet(refuse bool) *net {
	c := &net{frozen: -1}
	for i := range c.nodes {
		c.stores[i] = raft.NewMemoryStorage()
		node, err := raft.NewRawNode(&raft.Config{ID: uint64(i + 1), ElectionTick: 10, HeartbeatTick: 1, Storage: c.stores[i],
			MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 64, CheckQuorum: true, PreVote: true, DisableProposalForwarding: refuse,
			Logger: &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)}})
		check(err)
		check(node.Bootstrap([]raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}))
		c.nodes[i] = node
	}
	return c
}

func (c *net) deliver() {
	for again := true; again; {
		again = false
		for i, node := range c.nodes {
			if i == c.frozen || !node.HasReady() {
				continue
			}
			again = true
			ready := node.Ready()
			if !raft.IsEmptyHardState(ready.HardState) {
				check(c.stores[i].SetHardState(ready.HardState))
			}
			check(c.stores[i].Append(ready.Entries))
			for _, e := range ready.CommittedEntries {
				if e.GetType() == pb.EntryConfChange {
					cc := new(pb.ConfChange)
					check(proto.Unmarshal(e.GetData(), cc))
					node.ApplyConfChange(cc)
				} else if i == 2 && len(e.GetData()) > 0 {
					c.applied = append(c.applied, string(e.GetData()))
				}
			}
			for _, m := range ready.Messages {
				c.send(proto.Clone(m).(*pb.Message))
			}
			node.Advance(ready)
		}
	}
}

func (c *net) send(m *pb.Message) {
	to := int(m.GetTo()) - 1
	if to == c.frozen {
		c.waiting = append(c.waiting, m)
		return
	}
	_ = c.nodes[to].Step(m)
}

func (c *net) tick(n int) {
	for range n {
		for i, node := range c.nodes {
			if i != c.frozen {
				node.Tick()
			}
		}
		c.deliver()
	}
}

func (c *net) leader() int {
	for i, node := range c.nodes {
		if i != c.frozen && node.BasicStatus().RaftState == raft.StateLeader {
			return i
		}
	}
	return -1
}

func main() {
	refuse := len(os.Args) > 1
	c := newNet(refuse)
	c.deliver()
	check(c.nodes[0].Campaign())
	c.tick(5)
	check(c.nodes[0].Propose([]byte("first")))
	c.deliver()

	c.frozen = 0 // the leader's process is stopped
	err := c.nodes[1].Propose([]byte("old"))
	c.deliver()
	for c.leader() < 0 {
		c.tick(1)
	}
	check(c.nodes[c.leader()].Propose([]byte("new")))
	c.deliver()

	c.frozen = -1 // it goes on; the heartbeats of the new leader reach it before the old proposal
	c.tick(5)
	for _, m := range c.waiting {
		c.send(m)
	}
	c.tick(5)
	fmt.Println(c.applied, "dropped at once:", errors.Is(err, raft.ErrProposalDropped))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get go.etcd.io/raft/v3@v3.7.0 >/dev/null 2>&1
go build -o run .

echo "go.etcd.io/raft/v3 $(go list -m -f '{{.Version}}' go.etcd.io/raft/v3), $(go version | cut -d' ' -f3)"
echo "expected: [first new], the proposal 'old' is lost with its leader"
echo "seen:"
a=$(./run) b=$(./run refuse)
printf '  by default:                     %s\n  with DisableProposalForwarding: %s\n' "$a" "$b"
[ "$a" = "[first new old] dropped at once: false" ] || { echo "changed" >&2; exit 1; }
[ "$b" = "[first new] dropped at once: true" ] || { echo "changed" >&2; exit 1; }
