package diagnose

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// well are the facts of a cluster of three that has no fault.
func well() *Facts {
	member := func(name, ip string) rpc.Member {
		return rpc.Member{Name: name, Addr: net.ParseIP(ip), Port: 7946, Status: "alive"}
	}
	return &Facts{
		Now: begin, Asked: begin, Answered: begin.Add(time.Second), Here: true,
		Own: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.100.50")},
		Agent: rpc.Checkup{Node: "a", Now: begin.UnixNano(), Addr: "192.168.100.50:7946", Packet: 1400, Encrypted: true,
			OpenFiles: 20, MaxFiles: 1024, Seeds: []string{"192.168.100.51"}, Lists: []string{"/run/ibuki/live-nodes"}},
		Members: []rpc.Member{member("a", "192.168.100.50"), member("b", "192.168.100.51"), member("c", "192.168.100.52")},
		Accounts: []rpc.History{{From: "a", Now: begin.UnixNano(), Alive: 3}, {From: "b", Now: begin.UnixNano(), Alive: 3},
			{From: "c", Now: begin.Add(500 * time.Millisecond).UnixNano(), Alive: 3}},
		Routes:  []Route{{"b", 1500}, {"c", 1428}},
		Seeds:   []Seed{{Address: "192.168.100.51", At: []netip.AddrPort{netip.MustParseAddrPort("192.168.100.51:7946")}}},
		Keys:    &rpc.KeyResponse{Keys: map[string]int{"k": 3}, NumNodes: 3, NumResp: 3},
		Gateway: &Gateway{Address: "127.0.0.1:10040", Good: true},
	}
}

func TestDoctorFindsNothing(t *testing.T) {
	all := Examine(well())
	if all.Worst() != OK {
		t.Errorf("of a cluster that is well:\n%s", all)
	}
	if text := all.String(); !strings.HasSuffix(text, "\nNothing is wrong that can be seen from here.\n") {
		t.Error(text)
	}
	for _, area := range []string{"members", "join", "address", "udp", "keys", "clock", "mtu", "files", "load", "list", "gateway"} {
		if !strings.Contains(all.String(), "ok       "+area) {
			t.Errorf("no line about %s:\n%s", area, all)
		}
	}
}

// Each thing that can be wrong, alone: it is named, and nothing else is.
func TestDoctorNamesTheFault(t *testing.T) {
	trouble := func(kind, reason, what, text string, age time.Duration) rpc.Trouble {
		return rpc.Trouble{Kind: kind, Reason: reason, What: what, Text: text, Count: 1, Last: begin.Add(-age).UnixNano()}
	}
	add := func(list ...rpc.Trouble) func(*Facts) { return func(f *Facts) { f.Agent.Troubles = list } }
	for _, c := range []struct {
		name  string
		spoil func(*Facts)
		want  string // "": nothing is wrong
	}{
		{"a failed member", func(f *Facts) {
			f.Members[2].Status = "failed"
			f.Cases = []*Case{NewCase("c", "failed", []rpc.History{account("a", said(10, "crashed", "c", "", "", 0))}, 2, begin)}
			f.Accounts = f.Accounts[:1]
			f.Accounts[0].Alive = 2
		}, "fault members c has failed: crashed: its process ended"},
		{"alone", func(f *Facts) {
			f.Members, f.Seeds, f.Agent.Seeds, f.Accounts = f.Members[:1], nil, nil, nil
		}, "warning members a is alone"},
		{"a seed that does not answer", func(f *Facts) {
			f.Seeds[0] = Seed{"192.168.100.53", []netip.AddrPort{netip.MustParseAddrPort("192.168.100.53:7946")}, "connection refused"}
			f.Agent.Troubles = []rpc.Trouble{trouble("join", "", "192.168.100.53", "refused", 0)}
		}, "fault join 192.168.100.53, which this agent was to join by, cannot be reached at 192.168.100.53:7946: connection refused."},
		{"a seed that has been replaced", func(f *Facts) {
			f.Seeds[0] = Seed{"192.168.100.53", []netip.AddrPort{netip.MustParseAddrPort("192.168.100.53:7946")}, "connection refused"}
		}, "warning join 192.168.100.53, which this agent has joined by, cannot be reached at 192.168.100.53:7946 any more: connection refused."},
		{"a seed without an address", func(f *Facts) { f.Seeds[0] = Seed{"nosuch", nil, "no such host"} }, "fault join nosuch, which this agent was to join by, has no address"},
		{"a seed of another cluster", func(f *Facts) {
			f.Seeds[0] = Seed{"192.168.100.53", []netip.AddrPort{netip.MustParseAddrPort("192.168.100.53:7946")}, ""}
			f.Agent.Troubles = []rpc.Trouble{trouble("join", "", "192.168.100.53", "EOF", 0)}
		}, "there are two clusters (EOF)."},
		{"a seed that was joined by, and is none", func(f *Facts) {
			f.Seeds[0] = Seed{"192.168.100.53", []netip.AddrPort{netip.MustParseAddrPort("192.168.100.53:7946")}, ""}
		}, "warning join 192.168.100.53"},
		{"a seed by another port", func(f *Facts) { f.Seeds[0].At[0] = netip.MustParseAddrPort("192.168.100.51:7947") }, "warning join"},
		{"loopback", func(f *Facts) { f.Agent.Addr = "127.0.1.1:7946" }, "fault address a tells the others to reach it at 127.0.1.1, which is each host itself."},
		{"an advertised address that is not reached", func(f *Facts) {
			f.Agent.Addr = "192.168.100.99:7946"
			f.Accounts[1].Records = []rpc.HistoryRecord{said(-5, "suspect", "a", "", "silent", 0), said(-5, "stream-only", "a", "", "", 0)}
			f.Silent = []Silence{{Node: "b", NoAccount: true}}
		}, "fault address a tells the others to reach it at 192.168.100.99:7946, which this host does not have, and b got no answer there."},
		{"an advertised address that answers go to", func(f *Facts) {
			f.Agent.Addr = "192.168.100.99:7946"
			f.Silent = []Silence{{Node: "b", NoAccount: true}, {Node: "c", NoAccount: true}}
		}, "fault address a tells the others to reach it at 192.168.100.99:7946, which this host does not have, and no answer of another member arrives."},
		{"an advertised address that is forwarded", func(f *Facts) { f.Agent.Addr = "192.0.2.1:7946" }, "warning address"},
		{"an advertised address of another host", func(f *Facts) { f.Agent.Addr, f.Here = "192.0.2.1:7946", false }, ""},
		{"UDP to one", func(f *Facts) { f.Silent = []Silence{{Node: "c", NoAccount: true}} }, "fault udp UDP is blocked or lost between a and c: only TCP gets through."},
		{"UDP to one, by its records", func(f *Facts) { f.Agent.Records = []rpc.HistoryRecord{said(-5, "stream-only", "b", "", "", 0)} }, "between a and b"},
		{"UDP to one, long ago", func(f *Facts) { f.Agent.Records = []rpc.HistoryRecord{said(-601, "stream-only", "b", "", "", 0)} }, ""},
		{"UDP to one, just not long ago", func(f *Facts) { f.Agent.Records = []rpc.HistoryRecord{said(-599, "stream-only", "b", "", "", 0)} }, "between a and b"},
		{"UDP to all", func(f *Facts) { f.Silent = []Silence{{Node: "b", NoAck: true}, {Node: "c", NoAck: true}} }, "fault udp UDP is blocked at this host"},
		{"no way to one", func(f *Facts) { f.Silent = []Silence{{Node: "c", NoAck: true, Fault: "i/o timeout"}} },
			"fault routes c is alive, but does not answer a, neither over UDP nor over TCP (i/o timeout): others reach it."},
		{"one-way loss", func(f *Facts) { f.Accounts[2].Records = []rpc.HistoryRecord{said(-5, "indirect-only", "a", "", "", 0)} },
			"fault routes Packets between a and c get lost"},
		{"another key", add(trouble("packet", "decrypt", "192.168.100.53", "", 0), trouble("stream", "decrypt", "192.168.100.53", "", 0)),
			"fault keys 192.168.100.53 encrypts with a key that this agent does not have."},
		{"another key, once", add(trouble("packet", "decrypt", "192.168.100.53", "", time.Hour)), ""},
		{"no key here", func(f *Facts) { add(trouble("packet", "unexpected-encryption", "192.168.100.53", "", 0))(f) }, "and this agent has no key."},
		{"no key there", add(trouble("stream", "not-encrypted", "192.168.100.53", "", 0)), "does not encrypt, and this agent refuses that."},
		{"keys that not all have", func(f *Facts) { f.Keys.Keys["l"] = 2 }, "fault keys 2 of 3 members have key 2."},
		{"keys of somebody silent", func(f *Facts) { f.Keys.NumResp, f.Keys.Keys = 2, map[string]int{"k": 2} }, "warning keys 1 member did not say"},
		{"keys that must not be seen", func(f *Facts) { f.Keys, f.KeyFault = nil, "denied" }, "warning keys The keys of the members could not be compared: denied."},
		{"no encryption", func(f *Facts) { f.Agent.Encrypted, f.Keys = false, nil }, "warning keys The traffic is not encrypted"},
		{"another label", add(trouble("packet", "label", "192.168.100.53", "", 0)), "fault clusters 192.168.100.53 has another -cluster-label"},
		{"another cluster", add(trouble("cluster", "", "x", "of b", 0)), "fault clusters x belongs to another cluster, and is refused: of b."},
		{"two of a name", add(trouble("name", "192.168.100.53:7946", "b", "", 0)), "fault names Two nodes are called b: at 192.168.100.51:7946 and at 192.168.100.53:7946."},
		{"another view", func(f *Facts) { f.Accounts[1].Alive = 2 }, "warning views a lists 3 members as alive, and others list another number: b (2)."},
		{"an agent that tells no view", func(f *Facts) { f.Accounts[1].Alive = 0 }, ""},
		{"a clock ahead", func(f *Facts) { f.Accounts[1].Now = begin.Add(43 * time.Second).UnixNano() }, "warning clock The clock of b is 42s ahead of that of a"},
		{"a clock behind", func(f *Facts) { f.Accounts[1].Now = begin.Add(-time.Minute).UnixNano() }, "warning clock The clock of b is 1m0s behind that of a"},
		{"a clock within the slack", func(f *Facts) { f.Accounts[1].Now = begin.Add(-999 * time.Millisecond).UnixNano() }, ""},
		{"a clock just beyond", func(f *Facts) { f.Accounts[1].Now = begin.Add(-time.Second).UnixNano() }, "warning clock The clock of b is 1s behind"},
		{"a narrow way", func(f *Facts) { f.Routes[1].MTU = 1427 }, "warning mtu The way to c carries 1427 bytes at once, and this agent sends up to 1428"},
		{"a narrow way over IPv6", func(f *Facts) { f.Agent.Addr, f.Here = "[fd00::1]:7946", false }, "this agent sends up to 1448"},
		{"few files", func(f *Facts) { f.Agent.MaxFiles = 39 }, "fault files The agent has 20 files and connections open and may have 39"},
		{"enough files", func(f *Facts) { f.Agent.MaxFiles = 40 }, ""},
		{"a pause", func(f *Facts) {
			f.Agent.Records = []rpc.HistoryRecord{said(-5, "slept", "", "", "", 2*time.Second), said(-9, "slept", "", "", "", time.Second)}
		},
			"warning load The agent did not run for up to 2s, 2 times in 10m0s."},
		{"short pauses", func(f *Facts) {
			f.Agent.Records = []rpc.HistoryRecord{said(-5, "slept", "", "", "", 299*time.Millisecond)}
		}, ""},
		{"ill", func(f *Facts) { f.Agent.Health = 1 }, "warning load The agent's own probes fail or come late (health score 1)."},
		{"a list", add(trouble("list", "", "/run/x", "no space left on device", time.Hour)), "fault list The live-node list /run/x is not written: no space left on device."},
		{"a list without a node", func(f *Facts) { f.Agent.LeftOut = 1 }, "warning list 1 live node is not in a live-node list"},
		{"a handler", func(f *Facts) { f.Agent.Handlers = []rpc.HandlerCheckup{{Program: "h", Runs: 3, Failed: 2}} }, "warning handlers The event handler h failed in 2 of 3 runs."},
		{"a slow handler", func(f *Facts) {
			f.Agent.Handlers = []rpc.HandlerCheckup{{Program: "h", Runs: 3, Dropped: 9, Queued: 4}}
		}, "fault handlers The event handler h does not keep up"},
		{"a gateway", func(f *Facts) { f.Gateway = &Gateway{Address: "x", Fault: "connection refused"} }, "fault gateway The gateway at x does not say how it is: connection refused."},
		{"a server", func(f *Facts) { f.Gateway.Good, f.Gateway.Says = false, []string{"s has to be filled."} }, "fault gateway s has to be filled."},
		{"a server that lags", func(f *Facts) { f.Gateway.Says = []string{"s is behind."} }, "warning gateway s is behind."},
	} {
		f := well()
		c.spoil(f)
		var found []string
		for _, x := range Examine(f) {
			if x.Level != OK {
				found = append(found, string(x.Level)+" "+x.Area+" "+x.Text)
			}
			if (x.Level == OK) != (x.Cure == "") {
				t.Errorf("%s: %v: a cure is wanted where something is wrong", c.name, x)
			}
		}
		if c.want == "" && len(found) > 0 || c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)) {
			t.Errorf("%s: %q\nwant %q", c.name, found, c.want)
		}
	}
}

func TestDoctorWrapsAndCounts(t *testing.T) {
	if evil := (Findings{fault("x", "cure\x1b[2J", "a\nb\x1b[2J")}).String(); strings.Contains(evil, "\x1b") {
		t.Errorf("%q", evil)
	}
	all := Findings{fault("x", "do it", "%s", strings.Repeat("word ", 30)), {OK, "y", "well", ""}, warning("z", "do that", "hm")}
	text := all.String()
	for line := range strings.Lines(text) {
		if len(line) > doctorWidth+1 {
			t.Errorf("%d: %s", len(line), line)
		}
	}
	if !strings.HasPrefix(text, "ok       y         well\nwarning  z         hm\n                   Cure: do that\nfault    x         word word") ||
		!strings.HasSuffix(text, "\n                   Cure: do it\n\n1 fault, 1 warning.\n") {
		t.Error(text)
	}
}
