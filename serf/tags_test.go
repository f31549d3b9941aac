package serf

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

func TestP115_TagsAsMetadata(t *testing.T) {
	n := alone(t, func(c *Config) { c.Tags = tags("z", "1", "a", "2", "a", "3") })
	if got := n.Local().Tags; !slices.Equal(got, tags("a", "3", "z", "1")) {
		t.Errorf("%v", got)
	}
	if meta := n.swim.Local().Meta; meta[0] != 255 {
		t.Errorf("%q", meta)
	}
	old := alone(t, func(c *Config) { c.Protocol, c.Tags = 2, tags("role", "db", "x", "y") })
	if meta := old.swim.Local().Meta; string(meta) != "db" {
		t.Errorf("%q", meta)
	}
	if got := old.Local().Tags; !slices.Equal(got, tags("role", "db")) {
		t.Errorf("%v", got)
	}
	n.packet((&wire.Alive{Incarnation: 1, Node: "b", Addr: peerAddr("b"), Meta: []byte("web"), Versions: fullVersions}).AppendTo(nil))
	if m, _ := n.Member("b"); !slices.Equal(m.Tags, tags("role", "web")) {
		t.Errorf("%v", m.Tags)
	}

	if err := n.SetTags(n.w.now, tags("k", strings.Repeat("x", 512))); err != ErrTagsTooLong ||
		err.Error() != "Encoded length of tags exceeds limit of 512 bytes" {
		t.Error(err)
	}
	cfg := n.cfg
	cfg.Tags = tags("k", strings.Repeat("x", 512))
	if _, err := New(cfg, n.rng, n.w.now); err == nil {
		t.Error("New takes them")
	}
}

func TestP116_SetTags(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b")
	for _, n := range ns {
		n.take()
	}
	// Keys as the droonga-engine has them.
	want := tags("192.168.0.1:10031/droonga", "v=1", "role", "x")
	if err := ns[0].SetTags(w.now, []wire.Tag{want[1], want[0]}); err != nil {
		t.Fatal(err)
	}
	if got := ns[0].Local().Tags; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	ns[0].act()
	w.run(3 * time.Second)
	if m, _ := ns[1].Member("a"); !slices.Equal(m.Tags, want) {
		t.Errorf("%v", m.Tags)
	}
	for _, n := range ns {
		n.wantEvents("member-update a[{192.168.0.1:10031/droonga v=1} {role x}]")
	}
	// The same again is no news to anybody, and queries go by the new tags.
	if err := ns[0].SetTags(w.now, want); err != nil {
		t.Fatal(err)
	}
	ns[0].act()
	id := ns[1].asks("q", "", QueryParam{Ack: true, Tags: tags("role", "^x$")})
	w.run(5 * time.Second)
	ns[1].wantEvents()
	ns[1].wantNews(id, "ack a", "~done")
}

func TestP117_UpdateOnlyForAChange(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1, "a", "1", "b", "2")
	n.take()
	// The real Serf writes the tags in any order.
	n.packet((&wire.Alive{Incarnation: 2, Node: "b", Addr: peerAddr("b"), Versions: fullVersions,
		Meta: []byte("\xff\x82\xa1b\xa12\xa1a\xa11")}).AppendTo(nil))
	n.wantEvents()
	n.packet((&wire.Alive{Incarnation: 3, Node: "b", Addr: peerAddr("b"), Versions: fullVersions,
		Meta: []byte("\xff\x82\xa1b\xa12\xa1a\xa13")}).AppendTo(nil))
	n.wantEvents("member-update b[{a 3} {b 2}]")
}

func TestP118_ListsAreSorted(t *testing.T) {
	n := alone(t, nil)
	for _, name := range []string{"z", "b", "q", "a", "zz"} {
		n.alive(name, 1, "y", "1", "x", "2")
	}
	var got []string
	for _, m := range n.Members() {
		got = append(got, m.Name)
		if m.Name != "self" && !slices.Equal(m.Tags, tags("x", "2", "y", "1")) {
			t.Errorf("%v", m.Tags)
		}
	}
	if !slices.Equal(got, []string{"a", "b", "q", "self", "z", "zz"}) {
		t.Errorf("%q", got)
	}
}
