//go:build linux

package main

import (
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// doctor waits until host i's doctor says that; args are further ones.
func (w *whyNet) doctor(i int, want string, args ...string) {
	w.until("doctor should say "+want, func() string {
		return strings.Join(strings.Fields(w.run(i, append([]string{"doctor"}, args...)...)), " ")
	}, func(got string) bool { return strings.Contains(got, want) })
}

// Networks that are broken in what operators ask about most: doctor says in which way, on
// the hosts that it concerns.
func TestDoctorInNamespaces(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("needs iptables to block UDP: ", err)
	}
	bin := buildIbuki(t)
	onQuietMachine(t, func(t *testing.T) string {
		w := newWhyNet(t, bin)
		w.doctor(0, "ok udp all live members answer over UDP")
		for _, command := range [][]string{
			{"-n", w.Host(2), "link", "set", "eth0", "mtu", "1280"},
			{"netns", "exec", w.Host(1), "iptables", "-A", "INPUT", "-p", "udp", "-s", w.addr(2), "-j", "DROP"},
			{"netns", "exec", w.Host(1), "iptables", "-A", "OUTPUT", "-p", "udp", "-d", w.addr(2), "-j", "DROP"},
		} {
			if err := w.IP(command...); err != nil {
				t.Fatal(err)
			}
		}
		w.lose(t, 0, 3, true)
		w.start(t, 0, "-node=node4", "-bind="+w.addr(0)+":7947", "-advertise=192.168.100.99:7947", "-rpc-addr=127.0.0.1:7374", "-retry-join="+w.addr(1)+":7946")
		var faults [4]string // of each look, for they wait at once
		var wg sync.WaitGroup
		for i, look := range []func(*whyNet){
			func(w *whyNet) {
				w.doctor(2, "fault udp UDP is blocked or lost between node2 and node1: only TCP gets through.")
			},
			func(w *whyNet) { w.doctor(2, "carries 1280 bytes at once, and this agent sends up to 1428") },
			func(w *whyNet) {
				w.doctor(3, "fault routes node0 is alive, but does not answer node3, neither over UDP nor over TCP")
			},
			func(w *whyNet) {
				w.doctor(0, "fault address node4 tells the others to reach it at 192.168.100.99:7947, which this host does not have, and ", "-rpc-addr=127.0.0.1:7374")
			},
		} {
			wg.Go(func() {
				each := *w
				look(&each)
				faults[i] = each.fault
			})
		}
		wg.Wait()
		return strings.TrimSpace(w.fault + strings.Join(faults[:], " "))
	})
}
