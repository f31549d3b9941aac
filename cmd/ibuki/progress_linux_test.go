package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

// On a terminal, and only there, what takes longer than a second shows how far it is,
// and takes that away again.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		cmd   *command
		args  []string
		line  string
		said  string // at last, on stdout
		fault string // at last, on the terminal: a regular expression
		code  int
	}{
		{reachabilityCommand, nil, "0 of 1 have answered", "Starting reachability test", `Query ended early: client closed\r\n`, 1},
		{joinCommand, []string{"10.0.0.1", "10.0.0.2"}, "The agent joins 10.0.0.1, 10.0.0.2", "Successfully joined cluster by contacting 2 nodes.", "", 0},
		{keysCommand, []string{"-list"}, "All members are asked", "Keys gathered", "", 0},
	} {
		t.Run(c.cmd.name, func(t *testing.T) {
			t.Parallel()
			control, terminal := openPty(t)
			defer terminal.Close()
			a, err := newFakeAgent("", fakeMembers())
			if err != nil {
				t.Fatal(err)
			}
			defer a.end()
			a.frozen, a.slow = c.cmd == reachabilityCommand, make(chan struct{}) // its query does not end
			var out bytes.Buffer
			e := &env{name: "ibuki", cmd: c.cmd, stdout: &out, stderr: terminal}
			code := make(chan int, 1)
			begun := time.Now()
			go func() { code <- c.cmd.run(e, append([]string{"-rpc-addr=" + a.addr}, c.args...)) }()

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
			read := func(want string) { // until the end of what is shown is that
				t.Helper()
				var all strings.Builder
				for end := time.After(30 * time.Second); !regexp.MustCompile(want + `$`).MatchString(all.String()); {
					select {
					case s := <-shown:
						all.WriteString(s)
					case <-end:
						t.Fatalf("the terminal shows %q, not %q", all.String(), want)
					}
				}
			}
			read(`\r\x1b\[K` + regexp.QuoteMeta(c.line) + `, \d+ s`)
			if took := time.Since(begun); took < progressPatience {
				t.Errorf("progress after %v", took)
			}
			close(a.slow)
			if a.frozen {
				a.end()
			}
			if got := <-code; got != c.code || !strings.Contains(out.String(), c.said) || strings.Contains(out.String(), c.line) {
				t.Errorf("%d: %q", got, out.String())
			}
			read(`\r\x1b\[K` + c.fault)
		})
	}
}
