package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// ways has the directions that "a->b" or "a<->b" names.
func (s *Script) ways(arg string) ([][2]*Node, error) {
	a, b, ok := strings.Cut(arg, "->")
	if !ok {
		return nil, errUsage
	}
	a, both := strings.CutSuffix(a, "<")
	ns, err := s.named([]string{a, b})
	if err != nil {
		return nil, err
	}
	ways := [][2]*Node{{ns[0], ns[1]}}
	if both {
		ways = append(ways, [2]*Node{ns[1], ns[0]})
	}
	return ways, nil
}

func (s *Script) drop(args []string) error { return s.cut(args, true) }
func (s *Script) mend(args []string) error { return s.cut(args, false) }

func (s *Script) cut(args []string, cut bool) error {
	if len(args) == 0 {
		return errUsage
	}
	for _, a := range args {
		ways, err := s.ways(a)
		if err != nil {
			return err
		}
		for _, w := range ways {
			s.c.Cut(w[0], w[1], cut)
		}
	}
	return nil
}

func (s *Script) partition(args []string) error {
	var groups [][]*Node
	for g := range strings.SplitSeq(strings.Join(args, " "), "|") {
		ns, err := s.named(strings.FieldsFunc(g, func(r rune) bool { return r == ',' || r == ' ' }))
		if err != nil {
			return err
		}
		groups = append(groups, ns)
	}
	s.c.Partition(groups...)
	return nil
}

func (s *Script) heal([]string) error {
	s.c.Heal(s.c.opts.Link.Delay)
	return nil
}

func (s *Script) link(args []string) error {
	words, opts := options(args)
	streamOnly := len(words) == 2 && words[1] == "streams"
	refuse := len(words) == 2 && words[1] == "refuse"
	if len(words) != 1 && !streamOnly && !refuse {
		return errUsage
	}
	l := Link{StreamOnly: streamOnly, Refuse: refuse, Delay: s.c.opts.Link.Delay, ReorderBy: 100 * time.Millisecond}
	err := durations(opts, map[string]*time.Duration{"delay": &l.Delay, "jitter": &l.Jitter})
	if err != nil {
		return err
	}
	for k, p := range map[string]*float64{"loss": &l.Loss, "dup": &l.Duplicate, "reorder": &l.Reorder, "fail": &l.StreamFail} { // order-free: each sets its own
		if v, ok := opts[k]; ok {
			if *p, err = strconv.ParseFloat(v, 64); err != nil {
				return err
			}
		}
	}
	if words[0] == "all" {
		for _, a := range s.c.nodes {
			for _, b := range s.c.nodes {
				s.c.SetLink(a, b, l)
			}
		}
		return nil
	}
	ways, err := s.ways(words[0])
	for _, w := range ways {
		s.c.SetLink(w[0], w[1], l)
	}
	return err
}

func (s *Script) restartWindow(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	ns, err := s.named(args[:1])
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(args[1])
	if err == nil {
		ns[0].AnnounceRestart(d)
	}
	return err
}

func (s *Script) tags(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	ns, err := s.named(args[:1])
	if err == nil {
		_, opts := options(args[1:])
		ns[0].SetTags(toTags(opts))
	}
	return err
}

func (s *Script) event(args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	ns, err := s.named(args[:1])
	if err != nil {
		return err
	}
	words, coalesce := word(args[1:], "coalesce")
	var payload []byte
	if len(words) > 1 {
		payload = []byte(strings.Join(words[1:], " "))
	}
	ns[0].UserEvent(words[0], payload, coalesce) // what fails is in the transcript
	return nil
}

func (s *Script) query(args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	ns, err := s.named(args[:1])
	if err != nil {
		return err
	}
	var p serf.QueryParam
	var payload []string
	for _, a := range args[2:] {
		k, v, ok := strings.Cut(a, "=")
		switch {
		case a == "ack":
			p.Ack = true
		case !ok:
			payload = append(payload, a)
		case k == "node":
			p.Nodes = strings.Split(v, ",")
		case k == "relay":
			n, err := strconv.ParseUint(v, 10, 8)
			if err != nil {
				return err
			}
			p.RelayFactor = uint8(n)
		case k == "timeout":
			if p.Timeout, err = time.ParseDuration(v); err != nil {
				return err
			}
		case strings.HasPrefix(k, "tag:"):
			p.Tags = append(p.Tags, wire.Tag{Key: k[4:], Value: v})
		default:
			return errUsage
		}
	}
	ns[0].Query(args[1], []byte(strings.Join(payload, " ")), p)
	return nil
}

// list is a node's list of members on one line.
func (n *Node) list() string {
	if !n.up {
		return "is down"
	}
	return n.c.describeMembers(n.machine.Members())
}

func (c *Cluster) describeMembers(members []serf.Member) string {
	var b strings.Builder
	for i, m := range members {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s%s=%s", m.Name, c.at(m.Name, m.Addr), m.Status)
		if v := m.Verdict.String(); m.Restarting {
			b.WriteString("(restarting)")
		} else if v != "" {
			b.WriteString("(" + v + ")")
		}
		if m.Degraded {
			b.WriteString("!")
		}
		if len(m.Tags) > 0 {
			b.WriteString(describeTags(m.Tags))
		}
	}
	return b.String()
}

func (s *Script) members(args []string) error {
	ns, err := s.named(args)
	for _, n := range ns {
		fmt.Fprintf(&s.out, "%s: %s\n", n.label, n.list())
	}
	return err
}

func (s *Script) events(args []string) error {
	ns, err := s.named(args)
	for _, n := range ns {
		for _, e := range n.told {
			fmt.Fprintf(&s.out, "%s: %s\n", n.label, e)
		}
		n.told = nil
	}
	return err
}

func (s *Script) health(args []string) error {
	ns, err := s.named(args)
	for _, n := range ns {
		if n.up {
			fmt.Fprintf(&s.out, "%s: %d\n", n.label, n.machine.Swim().Health())
		}
	}
	return err
}

func (s *Script) agree([]string) error {
	var first *Node
	same := true
	for _, n := range s.c.nodes {
		if !n.up {
			continue
		}
		if first == nil {
			first = n
		}
		if n.list() != first.list() {
			same = false
			fmt.Fprintf(&s.out, "%s: %s\n%s: %s\n", first.label, first.list(), n.label, n.list())
		}
	}
	if same && first != nil {
		fmt.Fprintf(&s.out, "all: %s\n", first.list())
	}
	return nil
}
