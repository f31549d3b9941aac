package rpc

import (
	"fmt"
	"net"
	"testing"
)

func manyMembers(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{
			Name: fmt.Sprintf("node%05d", i), Addr: net.IPv4(10, 0, byte(i>>8), byte(i)).To4(), Port: 7946,
			Tags:   map[string]string{"role": "web", "dc": "tokyo", "version": "1.2.3"},
			Status: "alive", ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5,
		}
	}
	return members
}

// BenchmarkMembers is the whole way of a members command over loopback.
func BenchmarkMembers(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, addr := serveFake(b, ServerConfig{}, &fakeBackend{members: manyMembers(n)})
			c := dialFake(b, addr, "")
			b.ReportAllocs()
			for b.Loop() {
				if m, err := c.Members(b.Context()); err != nil || len(m) != n {
					b.Fatal(len(m), err)
				}
			}
		})
	}
}

// BenchmarkConnect is what each run of a command costs at least.
func BenchmarkConnect(b *testing.B) {
	_, addr := serveFake(b, ServerConfig{}, &fakeBackend{})
	b.ReportAllocs()
	for b.Loop() {
		c, err := Dial(b.Context(), ClientConfig{Addr: addr})
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkStream is one event to one stream.
func BenchmarkStream(b *testing.B) {
	back := &fakeBackend{}
	_, addr := serveFake(b, ServerConfig{}, back)
	c := dialFake(b, addr, "")
	s, err := c.Stream(b.Context(), "user")
	if err != nil {
		b.Fatal(err)
	}
	ev := Event{Type: "user", Name: "deploy", LTime: 1000, Payload: make([]byte, 100)}
	b.ReportAllocs()
	for b.Loop() {
		back.publish(ev)
		if _, err := s.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
