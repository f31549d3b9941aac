package rpc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

func TestReadValue(t *testing.T) {
	lim := Limits{Bytes: 100, Elems: 20}
	for _, tt := range []struct {
		in   string
		size int // of the value; 0: err
		err  error
	}{
		{"", 0, io.EOF},
		{"\x05\x06", 1, nil},
		{"\xe0", 1, nil}, {"\xc0", 1, nil}, {"\xc2", 1, nil}, {"\xc3", 1, nil},
		{"\xc1", 0, ErrMalformed},
		{"\xa3abcd", 4, nil},
		{"\xa3ab", 0, io.ErrUnexpectedEOF},
		{"\xd9\x03abc", 5, nil}, {"\xda\x00\x03abc", 6, nil}, {"\xdb\x00\x00\x00\x03abc", 8, nil},
		{"\xc4\x01x", 3, nil}, {"\xc5\x00\x01x", 4, nil}, {"\xc6\x00\x00\x00\x01x", 6, nil},
		{"\xc7\x02tab", 5, nil}, {"\xc8\x00\x02tab", 6, nil}, {"\xc9\x00\x00\x00\x02tab", 8, nil},
		{"\xca1234", 5, nil}, {"\xcb12345678", 9, nil},
		{"\xcc1", 2, nil}, {"\xcd12", 3, nil}, {"\xce1234", 5, nil}, {"\xcf12345678", 9, nil},
		{"\xd01", 2, nil}, {"\xd112", 3, nil}, {"\xd21234", 5, nil}, {"\xd312345678", 9, nil},
		{"\xd4t1", 3, nil}, {"\xd5t12", 4, nil}, {"\xd6t1234", 6, nil}, {"\xd7t12345678", 10, nil},
		{"\xd8t1234567812345678", 18, nil},
		{"\x92\x01\xa1a\x03", 4, nil},
		{"\xdc\x00\x02\x01\x02\x03", 5, nil}, {"\xdd\x00\x00\x00\x02\x01\x02\x03", 7, nil},
		{"\x81\xa1k\x92\x01\x80\x07", 6, nil},
		{"\xde\x00\x01\xa1k\x01", 6, nil}, {"\xdf\x00\x00\x00\x01\xa1k\x01", 8, nil},
		{"\x90\x01", 1, nil}, {"\x80", 1, nil},
		{"\xdb\xff\xff\xff\xff", 0, ErrTooLarge},
		{"\xdd\xff\xff\xff\xff", 0, ErrTooLarge},
		{"\xdf\xff\xff\xff\xff", 0, ErrTooLarge},
		{"\xdc\x00\x15" + strings.Repeat("\x01", 21), 0, ErrTooLarge}, // 21 elements
		{"\xd9\x62" + strings.Repeat("x", 98), 100, nil},
		{"\xd9\x63" + strings.Repeat("x", 99), 0, ErrTooLarge},
		{"\x92\xd9\x60" + strings.Repeat("x", 96) + "\x01", 100, nil},
		{"\x93\xd9\x60" + strings.Repeat("x", 96) + "\x01\x01", 0, ErrTooLarge},
		{strings.Repeat("\x91", 16) + "\x01", 17, nil},
		{strings.Repeat("\x91", 17) + "\x01", 0, ErrTooDeep},
	} {
		r := strings.NewReader(tt.in)
		got, err := ReadValue(r, []byte("pre"), lim)
		if !errors.Is(err, tt.err) || !strings.HasPrefix(string(got), "pre") {
			t.Errorf("%q: %v, want %v", tt.in, err, tt.err)
		}
		if err == nil && (string(got[3:]) != tt.in[:tt.size] || r.Len() != len(tt.in)-tt.size) {
			t.Errorf("%q: read %q, want %d bytes", tt.in, got[3:], tt.size)
		}
	}
}

// A declared length costs nothing: only bytes that are there are stored.
func TestDeclaredLengths(t *testing.T) {
	in := "\xc6\x7f\xff\xff\xff" + "only this"
	got, err := ReadValue(strings.NewReader(in), nil, Limits{Bytes: 1 << 62, Elems: 1 << 30})
	if err != io.ErrUnexpectedEOF || string(got) != in || cap(got) > 16<<10 {
		t.Errorf("%v, %d bytes in %d", err, len(got), cap(got))
	}
}

// For what ReadValue accepts, the decoder agrees about where the value ends.
func FuzzReadValue(f *testing.F) {
	f.Add(encode(requestHeader{cmdJoin, 1}, joinRequest{Existing: []string{"a"}}))
	f.Add(encode(QueryRequest{FilterTags: map[string]string{"a": "b"}, Payload: []byte("x"), Timeout: time.Second}))
	f.Add(encode(membersResponse{Members: twoMembers}))
	f.Add([]byte("\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		data, err := ReadValue(r, nil, Limits{Bytes: 4096, Elems: 512})
		if !bytes.HasPrefix(in, data) || len(data) > 4096 {
			t.Fatalf("read %x of %x", data, in)
		}
		if err != nil {
			return
		}
		var v any
		dec := codec.NewDecoderBytes(append(data, 0xc1), handle)
		if dec.Decode(&v) != nil {
			return // maps with keys that no Go map can have, times that are none
		}
		if n := dec.NumBytesRead(); n != len(data) {
			t.Fatalf("%x: decoder took %d bytes", data, n)
		}
	})
}

// FuzzServer sends bytes to a server that is past the handshake: it answers or
// hangs up, and serves the next client.
func FuzzServer(f *testing.F) {
	for _, cmd := range []string{cmdEvent, cmdJoin, cmdMembersFiltered, cmdTags, cmdQuery, cmdRespond, cmdStream, cmdMonitor, cmdStop, UseKey, cmdGetCoordinate} {
		f.Add(encode(requestHeader{cmd, 7}, map[string]any{
			"Name": "a|b", "Payload": []byte("x"), "Existing": []string{"a"}, "Type": "user:x,*",
			"LogLevel": "info", "Stop": 7, "Key": "k", "Node": "n1", "ID": 1, "Tags": map[string]string{"a": "(b"}}))
	}
	f.Add(encode(requestHeader{cmdMembers, 1}, requestHeader{cmdLeave, 2}, requestHeader{cmdStats, 3}, requestHeader{ListKeys, 4}))
	s := NewServer(ServerConfig{}, &fakeBackend{members: twoMembers, lines: []string{"x"}})
	hello := encode(requestHeader{cmdHandshake, 1}, handshakeRequest{1})
	f.Fuzz(func(t *testing.T, in []byte) {
		ours, theirs := net.Pipe()
		s.ServeConn(theirs)
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(io.Discard, ours)
		}()
		ours.SetWriteDeadline(time.Now().Add(30 * time.Second))
		ours.Write(hello)
		if _, err := ours.Write(in); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the server neither reads nor hangs up: %v", err)
		}
		ours.Close()
		<-done
	})
}

func TestQueue(t *testing.T) {
	q := newQueue[int](3)
	for i := range 5 {
		if ok := q.push(i); ok != (i < 3) {
			t.Errorf("push(%d) = %v", i, ok)
		}
	}
	if q.lostCount() != 2 {
		t.Errorf("lost %d", q.lostCount())
	}
	sum := make(chan int)
	for range 2 { // two consumers share it
		go func() {
			n := 0
			for {
				v, err := q.next(t.Context())
				if err == io.EOF {
					break
				}
				n += v
			}
			sum <- n
		}()
	}
	if !q.close(io.EOF) || q.close(errors.New("again")) {
		t.Error("close does not count once")
	}
	if got := <-sum + <-sum; got != 3 {
		t.Errorf("got %d", got)
	}
	if !q.push(9) {
		t.Error("push after close is a loss")
	}
}
