package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// On a terminal, and only there, a test that takes longer than a second shows how far it is,
// and takes that away again.
func TestReachabilityProgress(t *testing.T) {
	control, terminal := openPty(t)
	defer terminal.Close()
	a, err := newFakeAgent("", fakeMembers())
	if err != nil {
		t.Fatal(err)
	}
	defer a.end()
	a.frozen = true // the query does not end
	var out bytes.Buffer
	e := &env{name: "ibuki", cmd: reachabilityCommand, stdout: &out, stderr: terminal}
	code := make(chan int, 1)
	begun := time.Now()
	go func() { code <- runReachability(e, []string{"-rpc-addr=" + a.addr}) }()

	shown := make(chan string, 64)
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := control.Read(buf)
			if err != nil {
				return
			}
			shown <- string(buf[:n])
		}
	}()
	const line = "\r\x1b[K0 of 1 have answered, 1 s"
	read := func(want string) { // until the end of what is shown is that
		t.Helper()
		var all strings.Builder
		for end := time.After(10 * time.Second); !strings.HasSuffix(all.String(), want); {
			select {
			case s := <-shown:
				all.WriteString(s)
			case <-end:
				t.Fatalf("the terminal shows %q, not %q", all.String(), want)
			}
		}
	}
	read(line)
	if took := time.Since(begun); took < reachPatience {
		t.Errorf("progress after %v", took)
	}
	a.end()
	if got := <-code; got != 1 || !strings.Contains(out.String(), "Query ended early: ") || strings.Contains(out.String(), "have answered") {
		t.Errorf("%d: %q", got, out.String())
	}
	read("\r\x1b[K")
}
