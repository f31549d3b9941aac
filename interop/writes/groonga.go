//go:build linux

package main

import (
	"fmt"
	"strings"
)

// groonga measures real servers: this build, the earlier one, and a server by itself.
func (b *bench) groonga() error {
	now, err := b.cluster("now", b.ours, []string{"-log"}, true)
	defer now.end()
	if err != nil {
		return err
	}
	systems := []*system{overHTTP("ibuki", now.fronts())}
	systems[0].cpu = now.cpu
	if b.earlier != "" {
		before, err := b.cluster("earlier", b.earlier, strings.Fields(b.earlierArgs), true)
		defer before.end()
		if err != nil {
			return err
		}
		s := overHTTP("the earlier build", before.fronts())
		s.cpu = before.cpu
		systems = append(systems, s)
	}
	hosts, err := b.hosts(1)
	if err != nil {
		return err
	}
	p, err := b.server("alone", hosts[0])
	if err != nil {
		return err
	}
	defer p.kill()
	front := fmt.Sprintf("%s:%d", hosts[0], groongaPort)
	if err := eventually(func() error { return schema(front) }); err != nil {
		return err
	}
	return b.compare(append(systems, overHTTP("one Groonga server", []string{front})))
}
