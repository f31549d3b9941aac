package main

import (
	"bufio"
	"io"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

func TestMemberChanges(t *testing.T) {
	was := func(name, status string) memberOutput { return memberOutput{Name: name, Status: status} }
	got := memberChanges(time.Unix(0, 0),
		[]memberOutput{was("a", "alive"), was("b", "alive"), was("z", "left")},
		[]memberOutput{was("a", "alive"), was("b", "failed"), was("c", "alive")})
	var words []string
	for _, c := range got {
		words = append(words, c.Change+" "+c.Name+" "+c.Status)
	}
	if want := []string{"changed b failed", "new c alive", "gone z left"}; !slices.Equal(words, want) {
		t.Errorf("%q, want %q", words, want)
	}
}

// members -watch prints the list and then what changes, and says when the agent is gone.
func TestMembersWatch(t *testing.T) {
	a, err := newFakeAgent("", fakeMembers())
	if err != nil {
		t.Fatal(err)
	}
	defer a.end()
	out, in := io.Pipe()
	e := &env{name: "ibuki", all: commands, cmd: membersCommand, stdout: in, stderr: in}
	code := make(chan int, 1)
	go func() {
		code <- runMembers(e, []string{"-watch", "-rpc-addr=" + a.addr})
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	expect := func(pattern string) {
		t.Helper()
		for lines.Scan() {
			if regexp.MustCompile(pattern).MatchString(lines.Text()) {
				return
			}
		}
		t.Fatalf("no line %q", pattern)
	}
	expect(`^ノード +\[fe80::1\]:80 +left`)
	a.mu.Lock()
	a.members = fakeMembers()[1:]
	a.members[0].Status = "alive"
	a.mu.Unlock()
	if err := a.publish(rpc.Event{Type: "member-reap", Members: fakeMembers()[:1]}); err != nil {
		t.Fatal(err)
	}
	expect(`^\d\d:\d\d:\d\d  changed  10\.0\.0\.1:10031/droonga  10\.0\.0\.1:7946 +alive`)
	expect(`^\d\d:\d\d:\d\d  gone +node10 +10\.0\.0\.10:7946 +alive  dc=a,role=web$`)
	a.end()
	expect(`^Error watching members: `)
	if got := <-code; got != 1 {
		t.Errorf("exit code %d", got)
	}
}
