package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Script runs commands on a cluster and gives the transcript of each. The
// commands are listed by their word in scriptCommands; nodes are named a, b, c….
type Script struct {
	c   *Cluster
	out bytes.Buffer
}

var errUsage = errors.New("wrong arguments")

// scriptCommands has every command: its word, its arguments and what it does.
// Those that only change something print nothing by themselves.
var scriptCommands = []struct {
	word, usage string
	run         func(s *Script, args []string) error
}{
	{"nodes", "N [profile=lan|wan|local] [seed=N] [delay=D] [coalesce=D] [reconnect=D] [reap=D] [tombstone=D] [pushpull=D] [compress] [native|mixed] [label=L] [key=K] [cluster=C]", (*Script).nodes},
	{"add", "LABEL [name=N] [cluster=C|none] [k=v…]: one more node", (*Script).add},
	{"trace", "[probes] [gossip] [serf] [streams] [events] [news] [life] [records] [default] [all] [off]", (*Script).trace},
	{"advance", "D: let time pass", (*Script).advance},
	{"join", "A B [ignore-old]: A joins by B, without the user events from before", (*Script).join},
	{"rejoin", "A B: A joins by B as one that was there before", (*Script).rejoin},
	{"leave", "A…", each((*Node).Leave)},
	{"force-leave", "A B [prune]: A forces B out", (*Script).forceLeave},
	{"crash", "A…: the process ends without a word", each(func(n *Node) { n.Crash(false) })},
	{"crash-host", "A…: the host is gone", each(func(n *Node) { n.Crash(true) })},
	{"restart", "A [keep]: keep: with the clocks and the incarnation of a snapshot", (*Script).restart},
	{"restart-window", "A D: A says that it will restart within D", (*Script).restartWindow},
	{"pause", "A [D]: stop the process, for D", (*Script).pause},
	{"resume", "A…", each((*Node).Resume)},
	{"drop", "A->B | A<->B: cut the way", (*Script).drop},
	{"mend", "A->B | A<->B: mend the way", (*Script).mend},
	{"partition", "A,B | C,D…: cut between the groups", (*Script).partition},
	{"heal", ": mend everything", (*Script).heal},
	{"link", "A->B|all [delay=D] [jitter=D] [loss=P] [dup=P] [reorder=P] [fail=P] [streams: no datagrams] [refuse: streams are refused]", (*Script).link},
	{"tags", "A k=v…: replace the tags", (*Script).tags},
	{"event", "A NAME [PAYLOAD] [coalesce]", (*Script).event},
	{"query", "A NAME [PAYLOAD] [node=B,C] [tag:K=RE] [ack] [relay=N] [timeout=D]", (*Script).query},
	{"silent", "A…: do not answer queries", each(func(n *Node) { n.silent = true })},
	{"members", "A…: their lists", (*Script).members},
	{"events", "A…: what they were told since the last time", (*Script).events},
	{"health", "A…: Lifeguard's local health score", (*Script).health},
	{"agree", ": does every running node list the same?", (*Script).agree},
}

// Commands has one line for each command of a script.
func Commands() string {
	var b strings.Builder
	for _, k := range scriptCommands {
		sep := " "
		if strings.HasPrefix(k.usage, ":") {
			sep = ""
		}
		b.WriteString("  " + k.word + sep + k.usage + "\n")
	}
	return b.String()
}

// Run runs one command a line; empty lines and those that begin with # are
// nothing. It returns what was printed, and at the end, if a rule was broken,
// which.
func (s *Script) Run(lines string) (string, error) {
	s.out.Reset()
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := s.command(words[0], words[1:]); err != nil {
			return s.out.String(), fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
		if s.c != nil && s.c.failed != nil {
			return s.out.String(), s.c.failed
		}
	}
	return s.out.String(), nil
}

func (s *Script) command(word string, args []string) error {
	for _, k := range scriptCommands {
		if k.word != word {
			continue
		}
		if s.c == nil && word != "nodes" {
			return errors.New("the first command is nodes")
		}
		err := k.run(s, args)
		if errors.Is(err, errUsage) {
			return fmt.Errorf("%w; usage: %s %s", err, k.word, k.usage)
		}
		return err
	}
	return errors.New("no such command")
}

// each makes a command of an action on each named node.
func each(f func(*Node)) func(*Script, []string) error {
	return func(s *Script, args []string) error {
		ns, err := s.named(args)
		for _, n := range ns {
			f(n)
		}
		return err
	}
}

func (s *Script) named(labels []string) ([]*Node, error) {
	if len(labels) == 0 {
		return nil, errUsage
	}
	var ns []*Node
	for _, l := range labels {
		n := s.c.Node(l)
		if n == nil {
			return nil, fmt.Errorf("no node %q", l)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// options splits arguments into words and key=value pairs.
func options(args []string) (words []string, opts map[string]string) {
	opts = make(map[string]string)
	for _, a := range args {
		if k, v, ok := strings.Cut(a, "="); ok {
			opts[k] = v
		} else {
			words = append(words, a)
		}
	}
	return words, opts
}

// durations sets those of the given durations that opts names.
func durations(opts map[string]string, to map[string]*time.Duration) error {
	for k, p := range to { // order-free: each sets its own, any error will do
		if v, ok := opts[k]; ok {
			d, err := time.ParseDuration(v)
			if err != nil {
				return err
			}
			*p = d
		}
	}
	return nil
}

var profiles = map[string]func() swim.Config{"": swim.LAN, "lan": swim.LAN, "wan": swim.WAN, "local": swim.Local}

func (s *Script) nodes(args []string) error {
	words, opts := options(args)
	if len(words) == 0 {
		return errUsage
	}
	count, err := strconv.Atoi(words[0])
	profile := profiles[opts["profile"]]
	if err != nil || profile == nil || s.c != nil {
		return errUsage
	}
	o := Options{Seed: 1, Log: &s.out, Label: opts["label"], Key: []byte(opts["key"])}
	o.Serf.Swim = profile()
	o.Serf.Swim.Plain, o.Serf.Swim.Cluster = true, opts["cluster"]
	err = durations(opts, map[string]*time.Duration{
		"delay": &o.Link.Delay, "coalesce": &o.Serf.CoalescePeriod, "reconnect": &o.Serf.ReconnectInterval,
		"reap": &o.Serf.ReconnectTimeout, "tombstone": &o.Serf.TombstoneTimeout, "pushpull": &o.Serf.Swim.PushPullInterval,
	})
	if err != nil {
		return err
	}
	if o.Serf.CoalescePeriod > 0 {
		o.Serf.QuiescentPeriod = o.Serf.CoalescePeriod / 2
	}
	if v, ok := opts["seed"]; ok {
		if o.Seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			return err
		}
	}
	for _, w := range words[1:] {
		switch w {
		case "compress":
			o.Compress = true
		case "native":
			o.Serf.Swim.Plain = false
		case "mixed":
			o.Serf.Swim.Plain, o.Mixed = false, true
		default:
			return errUsage
		}
	}
	if s.c, err = New(o); err != nil {
		return err
	}
	s.c.log.show = showDefault &^ showLife
	s.c.Add(count)
	s.c.log.show = showDefault
	s.out.Reset() // that each node is told of itself
	return nil
}

func (s *Script) add(args []string) error {
	words, opts := options(args)
	if len(words) != 1 || s.c.Node(words[0]) != nil {
		return errUsage
	}
	name := words[0]
	if v, ok := opts["name"]; ok {
		name = v
		delete(opts, "name")
	}
	cluster, ok := opts["cluster"]
	if !ok {
		cluster = s.c.opts.Serf.Swim.Cluster
	} else if delete(opts, "cluster"); cluster == "none" {
		cluster = ""
	}
	s.c.addNamed(words[0], name, cluster, toTags(opts))
	return nil
}

func toTags(m map[string]string) []wire.Tag {
	var tags []wire.Tag
	for k, v := range m { // order-free: sorted below
		tags = append(tags, wire.Tag{Key: k, Value: v})
	}
	sort.Slice(tags, func(i, j int) bool { return tags[i].Key < tags[j].Key })
	return tags
}

func (s *Script) trace(args []string) error {
	var bits show
	for _, a := range args {
		found := false
		for _, w := range shows {
			if w.word == a {
				bits |= w.bits
				found = true
			}
		}
		if !found {
			return errUsage
		}
	}
	s.c.log.show = bits
	return nil
}

func (s *Script) advance(args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	d, err := time.ParseDuration(args[0])
	if err == nil {
		s.c.Advance(d)
	}
	return err
}

func (s *Script) join(args []string) error {
	args, ignoreOld := word(args, "ignore-old")
	if len(args) != 2 {
		return errUsage
	}
	ns, err := s.named(args)
	if err != nil {
		return err
	}
	ns[0].Join(ns[1], ignoreOld)
	return nil
}

func (s *Script) rejoin(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	ns, err := s.named(args)
	if err == nil {
		ns[0].Rejoin(ns[1])
	}
	return err
}

// word takes a word out of the arguments, and reports whether it was there.
func word(args []string, w string) (rest []string, found bool) {
	i := slices.Index(args, w)
	if i < 0 {
		return args, false
	}
	return slices.Delete(slices.Clone(args), i, i+1), true
}

func (s *Script) forceLeave(args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	ns, err := s.named(args[:1])
	if err == nil {
		ns[0].ForceLeave(args[1], len(args) == 3 && args[2] == "prune")
	}
	return err
}

func (s *Script) restart(args []string) error {
	args, keep := word(args, "keep")
	ns, err := s.named(args)
	for _, n := range ns {
		n.Restart(keep)
	}
	return err
}

func (s *Script) pause(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	ns, err := s.named(args[:1])
	if err != nil {
		return err
	}
	ns[0].Pause()
	if len(args) == 2 {
		d, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		s.c.After(d, ns[0].Resume)
	}
	return nil
}
