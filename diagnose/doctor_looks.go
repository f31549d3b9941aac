package diagnose

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// lately is how far back something is a fault of now.
const lately = 10 * time.Minute

// recent reports whether a time of the agent's is not long ago.
func (f *Facts) recent(at int64) bool {
	return time.Unix(0, f.Agent.Now).Sub(time.Unix(0, at)) < lately
}

// troubles are the recent ones of a kind, and of these reasons if any are given.
func (f *Facts) troubles(kinds []string, reasons ...string) (list []rpc.Trouble) {
	for _, t := range f.Agent.Troubles {
		if f.recent(t.Last) && slices.Contains(kinds, t.Kind) && (len(reasons) == 0 || slices.Contains(reasons, t.Reason)) {
			list = append(list, t)
		}
	}
	return list
}

// about is whom troubles are about, each once.
func about(list []rpc.Trouble) string {
	var names []string
	for _, t := range list {
		names = append(names, t.What)
	}
	return listed(names)
}

// listed are names in a sentence, each once.
func listed(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if most := 5; len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// others are the members that are alive, this agent's node left out.
func (f *Facts) others() (list []rpc.Member) {
	for _, m := range f.Members {
		if m.Status == "alive" && m.Name != f.Agent.Node {
			list = append(list, m)
		}
	}
	return list
}

func aboutMembers(f *Facts) (all []Finding) {
	count := make(map[string]int)
	for _, m := range f.Members {
		count[m.Status]++
	}
	if count["failed"] == 0 {
		all = good("members", "%s, none has failed", number(len(f.Members), "member"))
	}
	for _, c := range f.Cases {
		all = append(all, fault("members", fmt.Sprintf("'ibuki why %s' has the whole account.", c.node), "%s has failed: %s.", c.node, c.cause(c.incident())))
	}
	if more := count["failed"] - len(f.Cases); more > 0 && len(f.Cases) > 0 {
		all = append(all, fault("members", "'ibuki members -status=failed' lists them.", "%s more have failed.", number(more, "member")))
	}
	if len(f.others()) == 0 && count["failed"] == 0 {
		all = append(all, warning("members", "Name another member: 'ibuki join ADDRESS', or -retry-join at the start.", "%s is alone.", f.Agent.Node))
	}
	return all
}

// aboutSeeds looks at addresses to join by that no member has: that is how one cluster
// becomes two.
func aboutSeeds(f *Facts) (all []Finding) {
	var there []netip.AddrPort
	for _, m := range f.Members {
		a, _ := netip.AddrFromSlice(m.Addr)
		there = append(there, netip.AddrPortFrom(a.Unmap(), m.Port))
	}
	why := make(map[string]string)
	for _, t := range f.troubles([]string{"join"}) {
		why[t.What] = t.Text
	}
	for _, s := range f.Seeds {
		switch {
		case slices.ContainsFunc(s.At, func(a netip.AddrPort) bool { return slices.Contains(there, a) }):
		case len(s.At) == 0:
			all = append(all, fault("join", "Correct the name, or the host's name server.", "%s, which this agent was to join by, has no address: %s.", s.Address, s.Fault))
		case s.Fault != "" && why[s.Address] == "" && len(f.others()) > 0: // it was joined by once
			all = append(all, warning("join", "If that host is gone for good, correct the address in the configuration before the next start.",
				"%s, which this agent has joined by, cannot be reached at %s any more: %s.", s.Address, s.At[0], s.Fault))
		case s.Fault != "":
			all = append(all, fault("join", "Start an agent there, or allow TCP and UDP to that port (firewall, security group).",
				"%s, which this agent was to join by, cannot be reached at %s: %s.", s.Address, s.At[0], s.Fault))
		case why[s.Address] == "": // it was joined by once, and may be a load balancer's
			all = append(all, warning("join", fmt.Sprintf("'ibuki join %s' makes them one, and says what is in the way.", s.Address),
				"%s, which this agent was to join by, is no member's address, though something answers there: there may be two clusters.", s.Address))
		default:
			all = append(all, fault("join", fmt.Sprintf("'ibuki join %s' makes them one, and says what is in the way.", s.Address),
				"%s, which this agent was to join by, is not a member, though something answers there: there are two clusters (%s).",
				s.Address, why[s.Address]))
		}
	}
	if len(all) == 0 && len(f.Seeds) > 0 {
		return good("join", "all addresses to join by are members")
	}
	return all
}

// accusers are the others that accused this node lately.
func (f *Facts) accusers() (names []string) {
	for _, h := range f.Accounts {
		if h.From == f.Agent.Node {
			continue
		}
		for _, r := range h.Records {
			if (r.Kind == "suspect" || r.Kind == "failed") && r.Node == f.Agent.Node && f.recent(r.At) {
				names = append(names, h.From)
				break
			}
		}
	}
	return names
}

// refuted reports whether the node had to say lately that it is alive.
func (f *Facts) refuted() bool {
	return slices.ContainsFunc(f.Agent.Records, func(r rpc.HistoryRecord) bool {
		return (r.Kind == "refute-suspect" || r.Kind == "refute-dead") && f.recent(r.At)
	})
}

// owns reports whether an address is this host's.
func (f *Facts) owns(a netip.Addr) bool { return a.IsLoopback() || slices.Contains(f.Own, a) }

// misplaced reports whether the others are given an address that is not this host's, and
// do not reach the node there.
func (f *Facts) misplaced() bool {
	addr, err := netip.ParseAddrPort(f.Agent.Addr)
	return err == nil && f.Here && !f.owns(addr.Addr().Unmap()) && (len(f.accusers()) > 0 || f.refuted() || f.unanswered())
}

// unanswered reports whether nothing comes from any other member.
func (f *Facts) unanswered() bool { return len(f.Silent) > 0 && len(f.Silent) >= len(f.others()) }

// aboutAddress looks at what the others are given as this node's address.
func aboutAddress(f *Facts) []Finding {
	addr, err := netip.ParseAddrPort(f.Agent.Addr)
	if err != nil {
		return nil
	}
	own := addr.Addr().Unmap()
	if own.IsLoopback() && slices.ContainsFunc(f.others(), func(m rpc.Member) bool { return !m.Addr.IsLoopback() }) {
		return []Finding{fault("address", "Start it with -bind or -advertise and an address of its network.",
			"%s tells the others to reach it at %s, which is each host itself.", f.Agent.Node, own)}
	}
	if !f.Here || f.owns(own) {
		return good("address", "%s is at %s", f.Agent.Node, addr)
	}
	cure := "Start it with the right -advertise, or forward UDP and TCP of that address to this host."
	if f.misplaced() {
		accusers, who := f.accusers(), "others accuse it"
		switch {
		case len(accusers) > 0:
			who = listed(accusers) + " got no answer there"
		case f.unanswered():
			who = "no answer of another member arrives"
		}
		return []Finding{fault("address", cure, "%s tells the others to reach it at %s, which this host does not have, and %s.", f.Agent.Node, addr, who)}
	}
	return []Finding{warning("address", cure, "%s tells the others to reach it at %s, which this host does not have.", f.Agent.Node, addr)}
}

// seen are the members of whom there is a recent record of that kind: those that this node
// has of others, and those that others have of it.
func (f *Facts) seen(kind string) (names []string) {
	for _, r := range f.Agent.Records {
		if r.Kind == kind && r.Node != f.Agent.Node && f.recent(r.At) {
			names = append(names, r.Node)
		}
	}
	for _, h := range f.Accounts {
		if h.From != f.Agent.Node && slices.ContainsFunc(h.Records, func(r rpc.HistoryRecord) bool {
			return r.Kind == kind && r.Node == f.Agent.Node && f.recent(r.At)
		}) {
			names = append(names, h.From)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func aboutUDP(f *Facts) (all []Finding) {
	if f.misplaced() {
		return nil // which explains whatever is seen
	}
	by := f.seen("stream-only")
	for _, s := range f.Silent {
		switch {
		case s.Fault == "":
			by = append(by, s.Node)
		default:
			all = append(all, fault("routes", "Look at routes and firewalls between these hosts; each must reach each, by UDP and by TCP.",
				"%s is alive, but does not answer %s, neither over UDP nor over TCP (%s): others reach it.", s.Node, f.Agent.Node, s.Fault))
		}
	}
	slices.Sort(by)
	by = slices.Compact(by)
	cure := "Allow UDP, not only TCP, to the port of each member, in both directions (firewall, security group)."
	switch n := len(f.others()); {
	case n > 1 && len(by) >= n:
		all = append(all, fault("udp", cure, "UDP is blocked at this host: between it and every other member only TCP gets through."))
	case len(by) > 0:
		all = append(all, fault("udp", cure, "UDP is blocked or lost between %s and %s: only TCP gets through.", f.Agent.Node, listed(by)))
	case len(all) == 0 && n > 0:
		return good("udp", "all live members answer over UDP")
	}
	return all
}

// aboutWays looks for ways that packets get lost on while others are open.
func aboutWays(f *Facts) []Finding {
	if f.misplaced() {
		return nil
	}
	udp := f.seen("stream-only")
	for _, s := range f.Silent {
		udp = append(udp, s.Node)
	}
	by := slices.DeleteFunc(f.seen("indirect-only"), func(name string) bool { return slices.Contains(udp, name) })
	if len(by) == 0 {
		return nil
	}
	return []Finding{fault("routes", "Look at routes, firewalls and duplicate IP or MAC addresses between these hosts; each must reach each, in both directions.",
		"Packets between %s and %s get lost, at least in one direction: they reach each other through other members only.", f.Agent.Node, listed(by))}
}

func aboutNames(f *Facts) (all []Finding) {
	var names []string
	for _, t := range f.troubles([]string{"name"}) {
		if slices.Contains(names, t.What) {
			continue
		}
		names = append(names, t.What)
		at := ""
		for _, m := range f.Members {
			if m.Name == t.What {
				at = fmt.Sprintf("%s:%d", m.Addr, m.Port)
			}
		}
		all = append(all, fault("names", "Give each node a name of its own (-node).", "Two nodes are called %s: at %s and at %s.", t.What, at, t.Reason))
	}
	return all
}

// aboutViews compares how many members each holds for alive: parts of a divided network
// see different numbers.
func aboutViews(f *Facts) (all []Finding) {
	own := len(f.others()) + 1
	var names []string
	for _, h := range f.Accounts {
		if h.Alive > 0 && h.Alive != own {
			names = append(names, fmt.Sprintf("%s (%d)", h.From, h.Alive))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{warning("views", "If it stays so, part of the network is cut off: run 'ibuki doctor' there too.",
		"%s lists %d members as alive, and others list another number: %s.", f.Agent.Node, own, listed(names))}
}

// Clocks that differ by less are of no harm, and what was measured has that error.
const clockSlack = time.Second

func aboutClocks(f *Facts) (all []Finding) {
	asked := 0
	for _, h := range f.Accounts {
		if h.Now == 0 || h.From == f.Agent.Node {
			continue
		}
		asked++
		at := time.Unix(0, h.Now)
		var off time.Duration
		switch {
		case at.Before(f.Asked):
			off = f.Asked.Sub(at)
		case at.After(f.Answered):
			off = at.Sub(f.Answered)
		}
		if off < clockSlack {
			continue
		}
		side := "ahead of"
		if at.Before(f.Asked) {
			side = "behind"
		}
		all = append(all, warning("clock", "Keep the clocks of all hosts by NTP (chrony, systemd-timesyncd).",
			"The clock of %s is %v %s that of %s: 'why' and logs put what happened into a wrong order.", h.From, off.Round(time.Second), side, f.Agent.Node))
	}
	if len(all) == 0 && asked > 0 {
		return good("clock", "%s from this one's by less than %v", plural(asked, "other member's clock differs", "other members' clocks differ"), clockSlack)
	}
	return all
}

// ipHeader is what IP and UDP put before a packet, in bytes, by the kind of address.
func ipHeader(a string) int {
	if addr, err := netip.ParseAddrPort(a); err == nil && addr.Addr().Unmap().Is6() {
		return 48
	}
	return 28
}

func aboutMTU(f *Facts) []Finding {
	want := f.Agent.Packet + ipHeader(f.Agent.Addr)
	var narrow []string
	least := want
	for _, r := range f.Routes {
		if r.MTU > 0 && r.MTU < want {
			narrow, least = append(narrow, r.Node), min(least, r.MTU)
		}
	}
	switch {
	case len(f.Routes) == 0 || f.Agent.Packet == 0:
		return nil
	case len(narrow) == 0:
		return good("mtu", "packets of %d bytes fit the way to %s", f.Agent.Packet, number(len(f.Routes), "member"))
	}
	return []Finding{warning("mtu", fmt.Sprintf("Set packet_size to %d under tuning, on all nodes, or the MTU of the interface to %d.", least-ipHeader(f.Agent.Addr), want),
		"The way to %s carries %d bytes at once, and this agent sends up to %d: what is divided gets lost easily.", listed(narrow), least, want)}
}

func aboutFiles(f *Facts) []Finding {
	open, most := f.Agent.OpenFiles, f.Agent.MaxFiles
	if open == 0 || most == 0 {
		return nil
	}
	if most-open < max(most/5, 16+2*len(f.others())) {
		return []Finding{fault("files", "Raise the limit: LimitNOFILE=65536 in the unit, or 'ulimit -n' before the start.",
			"The agent has %d files and connections open and may have %d: soon it can accept none.", open, most)}
	}
	return good("files", "%d of %d files and connections are open", open, most)
}

// aboutLoad looks whether this host lets the agent run.
func aboutLoad(f *Facts) []Finding {
	pauses, longest := 0, time.Duration(0)
	for _, r := range f.Agent.Records {
		if r.Kind == "slept" && f.recent(r.At) && time.Duration(r.Took) >= asleep {
			pauses++
			longest = max(longest, time.Duration(r.Took))
		}
	}
	cure := "Give it processor time: look at the load, at CPU limits of its container, and whether the machine is suspended."
	switch {
	case pauses > 0:
		times := "once"
		if pauses > 1 {
			times = fmt.Sprintf("%d times", pauses)
		}
		return []Finding{warning("load", cure, "The agent did not run for up to %v, %s in %v.", longest.Round(time.Millisecond), times, lately)}
	case f.Agent.Health > 0:
		return []Finding{warning("load", cure, "The agent's own probes fail or come late (health score %d).", f.Agent.Health)}
	}
	return good("load", "the agent runs in time (health score 0)")
}

func aboutLists(f *Facts) (all []Finding) {
	for _, t := range f.Agent.Troubles { // as long as it is there, it is so
		if t.Kind == "list" {
			all = append(all, fault("list", "Make the directory writable for the agent's user, or free space; the list is written again by itself.",
				"The live-node list %s is not written: %s.", t.What, t.Text))
		}
	}
	if f.Agent.LeftOut > 0 {
		all = append(all, warning("list", "Give those nodes the tag that port_tag names, or set port.", "%s not in a live-node list, for want of a port or an address.",
			plural(f.Agent.LeftOut, "live node is", "live nodes are")))
	}
	if len(all) == 0 && len(f.Agent.Lists) > 0 {
		return good("list", "%s kept: %s", plural(len(f.Agent.Lists), "live-node list is", "live-node lists are"), listed(slices.Clone(f.Agent.Lists)))
	}
	return all
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func aboutHandlers(f *Facts) (all []Finding) {
	for _, h := range f.Agent.Handlers {
		if h.Failed > 0 {
			all = append(all, warning("handlers", "'ibuki monitor -log-level=debug' shows what it prints.",
				"The event handler %s failed in %d of %d runs.", h.Program, h.Failed, h.Runs))
		}
		if h.Dropped > 0 {
			all = append(all, fault("handlers", "Give it less to do, a time-out, or parallelism (docs/handlers.md).",
				"The event handler %s does not keep up: %d events were dropped, %d wait.", h.Program, h.Dropped, h.Queued))
		}
	}
	return all
}

func aboutGateway(f *Facts) (all []Finding) {
	g := f.Gateway
	switch {
	case g == nil:
		return nil
	case g.Fault != "":
		return []Finding{fault("gateway", "Start it, or name its address with -gateway.", "The gateway at %s does not say how it is: %s.", g.Address, g.Fault)}
	}
	for _, text := range g.Says {
		level := Fault
		if g.Good {
			level = Warning
		}
		all = append(all, Finding{level, "gateway", text, "'ibuki cluster status' has all of it."})
	}
	if len(all) == 0 {
		return good("gateway", "the gateway at %s is well", g.Address)
	}
	return all
}

// aboutKeys looks for nodes that encrypt otherwise.
func aboutKeys(f *Facts) (all []Finding) {
	kinds := []string{"packet", "stream"}
	add := func(cure, format string, reasons ...string) {
		if list := f.troubles(kinds, reasons...); len(list) > 0 {
			all = append(all, fault("keys", cure, format, about(list)))
		}
	}
	add("Give it this cluster's key (-encrypt, or its keyring file), or keep it away.", "%s encrypts with a key that this agent does not have.", "decrypt")
	add("Give this agent the key (-encrypt), or start that one without.", "%s encrypts, and this agent has no key.", "unexpected-encryption")
	add("Give it the key (-encrypt); to turn encryption on in a running cluster see docs/encryption.md.", "%s does not encrypt, and this agent refuses that.", "not-encrypted")
	all = append(all, f.unequalKeys()...)
	if len(all) > 0 {
		return all
	}
	if f.Agent.Encrypted {
		return good("keys", "the traffic is encrypted, and nobody uses another key")
	}
	return []Finding{warning("keys", "'ibuki keygen' makes a key; docs/encryption.md says how to turn encryption on.", "The traffic is not encrypted: whoever reaches the port can join.")}
}

// unequalKeys looks whether all members have the same keys.
func (f *Facts) unequalKeys() (all []Finding) {
	if f.KeyFault != "" {
		return []Finding{warning("keys", "Give a token that may do everything: -rpc-auth.", "The keys of the members could not be compared: %s.", f.KeyFault)}
	}
	if f.Keys == nil {
		return nil
	}
	i := 0
	for _, key := range slices.Sorted(maps.Keys(f.Keys.Keys)) {
		i++
		if n := f.Keys.Keys[key]; n < f.Keys.NumResp {
			all = append(all, fault("keys", "'ibuki keys -list' shows which; -install it everywhere, or -remove it.", "%d of %d members have key %d.", n, f.Keys.NumResp, i))
		}
	}
	if missing := f.Keys.NumNodes - f.Keys.NumResp; missing > 0 {
		all = append(all, warning("keys", "Ask again when they answer.", "%s did not say which keys it has.", number(missing, "member")))
	}
	return all
}

func aboutClusters(f *Facts) (all []Finding) {
	if list := f.troubles([]string{"packet", "stream"}, "label"); len(list) > 0 {
		all = append(all, fault("clusters", "Give both the same -cluster-label if they belong together, else take its address out of -join and -discover.",
			"%s has another -cluster-label, and is not heard.", about(list)))
	}
	list := append(f.troubles([]string{"cluster"}), f.troubles([]string{"merge"})...)
	if len(list) > 0 {
		all = append(all, fault("clusters", "Give both the same -cluster-name if they belong together, else take its address out of -join and -discover.",
			"%s belongs to another cluster, and is refused: %s.", about(list), list[0].Text))
	}
	return all
}
