#!/usr/bin/env bash
# etcd's raft takes no random source, so a simulation of three nodes is expected to
# repeat itself once every input is the same: same ticks, same order of delivery. It does
# not. Each node draws its election timeout from crypto/rand.Reader, a variable of the
# standard library. Only a program that replaces that reader repeats itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod GOWORK=off

cat >main.go <<'GO'
package main

import (
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"os"

	mrand "math/rand/v2"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// run plays 60 rounds of 40 ticks on three nodes in memory, each round without the leader
// of the one before, and returns the leaders and a hash of all messages.
func run() (leaders []uint64, sum uint64) {
	const n = 3
	var nodes [n]*raft.RawNode
	var stores [n]*raft.MemoryStorage
	for i := range nodes {
		stores[i] = raft.NewMemoryStorage()
		node, err := raft.NewRawNode(&raft.Config{ID: uint64(i + 1), ElectionTick: 10, HeartbeatTick: 1, Storage: stores[i],
			MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 64, Logger: &raft.DefaultLogger{Logger: silent}})
		check(err)
		check(node.Bootstrap([]raft.Peer{{ID: 1}, {ID: 2}, {ID: 3}}))
		nodes[i] = node
	}
	h := fnv.New64a()
	deaf := -1
	deliver := func() {
		for again := true; again; {
			again = false
			for i, node := range nodes {
				if !node.HasReady() {
					continue
				}
				again = true
				ready := node.Ready()
				if !raft.IsEmptyHardState(ready.HardState) {
					check(stores[i].SetHardState(ready.HardState))
				}
				check(stores[i].Append(ready.Entries))
				for _, e := range ready.CommittedEntries {
					if e.GetType() == pb.EntryConfChange {
						cc := new(pb.ConfChange)
						check(proto.Unmarshal(e.GetData(), cc))
						node.ApplyConfChange(cc)
					}
				}
				for _, m := range ready.Messages {
					to := int(m.GetTo()) - 1
					fmt.Fprintln(h, m.GetType(), m.GetFrom(), m.GetTo(), m.GetTerm(), m.GetIndex())
					if to != deaf && i != deaf {
						_ = nodes[to].Step(proto.Clone(m).(*pb.Message))
					}
				}
				node.Advance(ready)
			}
		}
	}
	for range 60 {
		for range 40 {
			for _, node := range nodes {
				node.Tick()
			}
			deliver()
		}
		leader := uint64(0)
		for i, node := range nodes {
			if i != deaf && node.BasicStatus().RaftState == raft.StateLeader {
				leader = node.BasicStatus().ID
			}
		}
		leaders = append(leaders, leader)
		deaf = int(leader) - 1
	}
	return leaders, h.Sum64()
}

func main() {
	if len(os.Args) > 1 { // the same seed for the reader that raft draws from
		rand.Reader = mrand.NewChaCha8([32]byte{1})
	}
	leaders, sum := run()
	fmt.Printf("%016x %v\n", sum, leaders)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
cat >log.go <<'GO'
package main

import (
	"io"
	"log"
)

var silent = log.New(io.Discard, "", 0)
GO
go mod init finding >/dev/null 2>&1
go get go.etcd.io/raft/v3@v3.7.0 >/dev/null 2>&1
go build -o run .

echo "go.etcd.io/raft/v3 $(go list -m -f '{{.Version}}' go.etcd.io/raft/v3), $(go version | cut -d' ' -f3)"
echo "expected: the same inputs give the same leaders"
echo "seen, twice with the same inputs:"
a=$(./run) b=$(./run)
printf '  %s\n  %s\n' "$a" "$b"
echo "seen, twice with crypto/rand.Reader replaced by a seeded reader:"
c=$(./run seeded) d=$(./run seeded)
printf '  %s\n  %s\n' "$c" "$d"
[ "$a" != "$b" ] || { echo "changed: the runs are equal" >&2; exit 1; }
[ "$c" = "$d" ] || { echo "changed: the seeded runs differ" >&2; exit 1; }
