package wire

import (
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	user := func(m message) []byte { return m.AppendTo([]byte{byte(TypeUser)}) }
	vs := Versions{1, 5, 2, 2, 5, 4}
	query := &Query{LTime: 9, ID: 4, Source: v4, SourceNode: "a", Flags: 3, RelayFactor: 2, Timeout: 1500 * time.Millisecond, Name: "up time",
		Filters: [][]byte{AppendNodeFilter(nil, []string{"a", "b"}), AppendTagFilter(nil, "role", "web.*"), {9}}}
	for _, c := range []struct {
		msg  []byte
		want string
	}{
		{nil, "empty"},
		{(&Ping{Seq: 7, Node: "b"}).AppendTo(nil), "ping seq=7 node=b"},
		{(&Ping{Seq: 7, Node: "b", Source: v6, SourceNode: "a"}).AppendTo(nil), "ping seq=7 node=b from=a at=[2001:db8::7]:65535"},
		{(&IndirectPing{Seq: 7, Node: "b", Target: v4, Nack: true}).AppendTo(nil), "indirect-ping seq=7 node=b target=10.1.2.3:7946 nack"},
		{(&Ack{Seq: 7, Payload: make([]byte, 90)}).AppendTo(nil), "ack seq=7 payload=90B"},
		{(&Nack{Seq: 7}).AppendTo(nil), "nack seq=7"},
		{(&Err{Error: "no \"way\"\n"}).AppendTo(nil), `err text="no \"way\"\n"`},
		{(&Suspect{Node: "b", Incarnation: 2, From: "a"}).AppendTo(nil), "suspect node=b inc=2 from=a"},
		{(&Dead{Node: "b", Incarnation: 2, From: "a"}).AppendTo(nil), "dead node=b inc=2 from=a"},
		{(&Alive{Node: "b", Incarnation: 2, Addr: v4, Meta: AppendTags(nil, []Tag{{"role", "web"}}), Versions: vs}).AppendTo(nil),
			"alive node=b inc=2 at=10.1.2.3:7946 tag:role=web vsn=1.5.2/2.5.4"},
		{(&Alive{Node: "192.168.100.50:10031/droonga", Meta: []byte("web")}).AppendTo(nil), "alive node=192.168.100.50:10031/droonga inc=0 meta=web"},
		{samplePushPull(), "push-pull join nodes=3 [alive node=a inc=1 at=10.1.2.3:7946 tag:k=v vsn=1.5.2/2.5.4, " +
			"left node=b inc=300 at=[2001:db8::7]:65535 vsn=1.5.2/2.5.4, dead node=c inc=0 at=[::ffff:10.1.2.3]:80] " +
			"state ltime=3 event-ltime=0 query-ltime=0 status=[a:1] left=[] events=[]"},
		{AppendCompound(nil, (&Nack{Seq: 1}).AppendTo(nil), AppendCompound(nil, (&Nack{Seq: 2}).AppendTo(nil))),
			"compound[nack seq=1, compound[nack seq=2]]"},
		{user(&Join{LTime: 3, Node: "a"}), "user join node=a ltime=3"},
		{user(&Leave{LTime: 3, Node: "a", Prune: true}), "user leave node=a ltime=3 prune"},
		{user(&UserEvent{LTime: 3, Name: "e", Payload: []byte("my data"), Coalesce: true}), `user event name=e ltime=3 payload="my data" coalesce`},
		{user(query), `user query name="up time" ltime=9 id=4 from=a at=10.1.2.3:7946 ack no-broadcast relay=2 timeout=1.5s ` +
			`filter:nodes="[a b]" filter:role=web.* filter=!type`},
		{user(&Query{Name: "_serf_use-key", Payload: (&KeyRequest{Key: make([]byte, 16)}).AppendTo(nil)}),
			"user query name=_serf_use-key ltime=0 id=0 [key-request key=16B] timeout=0s"},
		{user(&QueryResponse{LTime: 9, ID: 4, From: "b", Flags: QueryFlagAck}), "user query-ack from=b ltime=9 id=4"},
		{user(&QueryResponse{LTime: 9, ID: 4, From: "b", Payload: []byte("up")}), "user response from=b ltime=9 id=4 payload=up"},
		{user(&QueryResponse{Payload: (&KeyResponse{Result: true, Keys: []string{"secret"}}).AppendTo(nil)}),
			`user response from= ltime=0 id=0 [key-response result=true keys=1]`},
		{user(&Relay{Dest: v4, DestName: "a", Message: (&QueryResponse{From: "b"}).AppendTo(nil)}),
			"user relay to=a at=10.1.2.3:7946 [response from=b ltime=0 id=0]"},
		{user(&SerfState{LTime: 1, Status: []StatusLTime{{"a", 2}, {"b c", 3}}, Left: []string{"d"},
			Events: []EventsAt{{5, []StateEvent{{"e", []byte("p")}}}}}),
			`user state ltime=1 event-ltime=0 query-ltime=0 status=[a:2, "b c":3] left=[d] events=[5: name=e payload=p]`},
		{appendCompressed(nil, []byte("x")), "compressed 17B"},
		{[]byte{12, 0, 0}, "crc 3B"},
		{[]byte{99, 0, 0}, "type=99 3B"},
		{[]byte{8, 77}, "user serf-type=77 1B"},
		{[]byte{0, 0x81}, "ping seq=0 node= !truncated"},
		{[]byte{7, 1, 0, 9, 1}, "compound[ !truncated]"},
	} {
		if got := Describe(c.msg); got != c.want {
			t.Errorf("%x\n got %s\nwant %s", c.msg, got, c.want)
		}
	}
}
