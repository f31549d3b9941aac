//go:build unix

package interop

import (
	"strings"
	"testing"
	"time"
)

// TestEarlierEvents plays the same joins on the real Serf and on ours, and compares which of
// the user events that were sent before the handlers of those who join run for. One that is
// asked to be a member, because it was known before, has not asked for them and has had them
// in its former life: ours is not given them a second time. (P86, P87, Different on purpose)
func TestEarlierEvents(t *testing.T) {
	need(t, newest)
	t.Parallel()
	for _, p := range []program{newest, ours} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			want := map[string]string{"joins": "end", "replays": "one two three end", "is-asked": "one two three end"}
			if p.name == ours.name {
				want["is-asked"] = "end"
			}
			fire := func(a *agent, names ...string) {
				for _, name := range names {
					if err := a.rpc.UserEvent(name, nil, false); err != nil {
						t.Fatal(err)
					}
				}
			}
			handler := func(name string) string {
				return "-event-handler=user=echo $SERF_USER_EVENT >> " + c.file(name+".handled")
			}
			for name, join := range map[string]func(a, b *agent) (int, error){
				"joins":    func(a, b *agent) (int, error) { return b.rpc.Join([]string{a.addr()}, false) },
				"replays":  func(a, b *agent) (int, error) { return b.rpc.Join([]string{a.addr()}, true) },
				"is-asked": func(a, b *agent) (int, error) { return a.rpc.Join([]string{b.addr()}, false) },
			} {
				a := c.add(p, "a-"+name)
				b := c.add(p, name, handler(name))
				fire(a, "one", "two", "three")
				if _, err := join(a, b); err != nil {
					t.Fatal(err)
				}
				time.Sleep(300 * time.Millisecond)
				fire(a, "end")
				b.awaitHandled("end")
				if got := strings.Join(b.handled(), " "); got != want[name] {
					t.Errorf("%s: handled %q, want %q", name, got, want[name])
				}
			}
		})
	}
}
