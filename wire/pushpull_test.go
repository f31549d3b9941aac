package wire

import (
	"reflect"
	"testing"
)

// However a member is spoilt, its usual form says what any form says, or nothing.
func TestUsualNodeReadsAsAny(t *testing.T) {
	vs := Versions{1, 5, 2, 2, 5, 4}
	tags := AppendTags(nil, []Tag{{"role", "web"}, {"dc", "a datacentre whose name does not fit into 31 bytes"}})
	usual, spoilt := 0, 0
	for _, n := range []PushNodeState{
		{Name: "a", Addr: v4, Meta: tags, Incarnation: 1 << 20, Versions: vs},
		{Name: "b", Addr: v6, State: StateLeft, Versions: vs, Native: 1},
		{Name: "c", Addr: v4in6, State: StateDead},
	} {
		whole := AppendPushNodeState(nil, &n)
		if r := (reader{b: whole}); !r.usualNode(new(PushNodeState)) {
			t.Errorf("%+v is not in the usual form", n)
		}
		for i := range whole {
			for _, c := range []byte{0, 1, 0x7f, 0x80, 0x87, 0x88, 0x90, 0xa0, 0xa1, 0xc0, 0xcd, 0xda, 0xff} {
				b := append([]byte(nil), whole...)
				b[i] = c
				r, ref := reader{b: b}, reader{b: b}
				var got, want PushNodeState
				if spoilt++; !r.usualNode(&got) {
					continue
				}
				usual++
				if ref.anyNode(&want); r.pos != ref.pos || ref.err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%x: %+v up to %d, in any form %+v up to %d, %v", b, got, r.pos, want, ref.pos, ref.err)
				}
			}
		}
	}
	if usual == 0 || usual == spoilt {
		t.Errorf("%d of %d were usual", usual, spoilt)
	}
}
