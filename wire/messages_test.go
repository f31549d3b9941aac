package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// What we write is what the peers' library writes, byte for byte, and reads
// back as it was. (P139)
func TestBytesAreThePeers(t *testing.T) {
	for i, s := range samples() {
		t.Run(fmt.Sprintf("%d-%T", i, s.m), func(t *testing.T) {
			got := s.m.AppendTo([]byte("before"))
			want := peerEncode(t, []byte("before"+string(s.prefix)), toPeer(s.m))
			if r, ok := s.m.(*Relay); ok {
				want = append(want, r.Message...)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("encoded\n got %q\nwant %q", got, want)
			}
			back := reflect.New(reflect.TypeOf(s.m).Elem()).Interface().(message)
			if err := back.Decode(got[len("before")+1:], nil); err != nil {
				t.Fatal(err)
			}
			again := back.AppendTo([]byte("before"))
			if !bytes.Equal(again, got) {
				t.Fatalf("encoded again\n got %q\nwant %q", again, got)
			}
		})
	}
}

// Every message cut short anywhere is an error, except where what is missing is
// the end of a relay's opaque part.
func TestTruncatedEverywhere(t *testing.T) {
	for _, s := range samples() {
		body := s.m.AppendTo(nil)[1:]
		if r, ok := s.m.(*Relay); ok {
			body = body[:len(body)-len(r.Message)]
		}
		m := reflect.New(reflect.TypeOf(s.m).Elem()).Interface().(message)
		for n := range body {
			if n > 400 && n < len(body)-400 {
				continue
			}
			if err := m.Decode(body[:n], nil); Reason(err) != "truncated" {
				t.Fatalf("%T cut to %d of %d bytes: %v", s.m, n, len(body), err)
			}
		}
	}
}
