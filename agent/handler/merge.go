package handler

import (
	"maps"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// takes reports whether a waiting member event took in what a later one of its type says,
// so that one run does for both: a rack that fails while a handler runs is one more run.
// It costs the same however many wait; arrange does the rest.
func (j *Job) takes(later *Job) bool {
	if len(j.Event.Members) == 0 || len(later.Event.Members) == 0 || j.Event.Type != later.Event.Type || j.follow != later.follow {
		return false
	}
	if !j.merged { // others have these too
		j.merged = true
		j.Event.Members = slices.Clip(j.Event.Members)
		if j.old = maps.Clone(j.old); j.old == nil {
			j.old = make(map[string][]wire.Tag)
		}
	}
	j.Event.Members, j.self = append(j.Event.Members, later.Event.Members...), later.self
	for name, tags := range later.old { // order-free: copied
		if _, earlier := j.old[name]; !earlier {
			j.old[name] = tags
		}
	}
	return true
}

// arrange puts the members of a merged event in order, each as it was last.
func (j *Job) arrange() {
	if !j.merged {
		return
	}
	members := slices.Clone(j.Event.Members)
	slices.SortStableFunc(members, func(a, b serf.Member) int { return strings.Compare(a.Name, b.Name) })
	out := members[:0]
	for _, m := range members {
		if n := len(out); n > 0 && out[n-1].Name == m.Name {
			out[n-1] = m
			continue
		}
		out = append(out, m)
	}
	j.Event.Members = out
}

// memberStep is a member as a waiting event has it.
type memberStep struct {
	serf.Member
	old []wire.Tag
}

// mergeMembers makes of all member events that wait those that say the same with the
// fewest runs: of each member the shortest chain. They take the place of the first one.
func mergeMembers(jobs []*Job) []*Job {
	var names []string
	chains := make(map[string][]serf.Step[memberStep])
	first, follow := -1, false
	rest := make([]*Job, 0, len(jobs))
	var last *Job
	for _, j := range jobs {
		if len(j.Event.Members) == 0 {
			rest = append(rest, j)
			continue
		}
		if first < 0 {
			first = len(rest)
		}
		last, follow = j, follow || j.follow
		for _, m := range j.Event.Members {
			steps, s := chains[m.Name], serf.Step[memberStep]{Type: j.Event.Type, Rec: memberStep{m, j.old[m.Name]}}
			if steps == nil {
				names = append(names, m.Name)
			} else if before := &steps[len(steps)-1]; before.Type == s.Type {
				s.Rec.old = before.Rec.old
			}
			chains[m.Name] = serf.AppendStep(steps, s, false)
		}
	}
	if last == nil {
		return jobs
	}
	slices.Sort(names)
	all := make([][]serf.Step[memberStep], len(names))
	for i, name := range names {
		all[i] = chains[name]
	}
	var merged []*Job
	serf.Rounds(all, func(t serf.EventType, recs []memberStep) {
		j := &Job{self: last.self, queued: last.queued, Event: serf.Event{To: last.Event.To, Type: t}}
		j.follow = follow && (t == serf.EventMemberJoin || t.Down())
		for _, r := range recs {
			j.Event.Members = append(j.Event.Members, r.Member)
			if t == serf.EventMemberUpdate {
				if j.old == nil {
					j.old = make(map[string][]wire.Tag)
				}
				j.old[r.Name] = r.old
			}
		}
		merged = append(merged, j)
	})
	return slices.Insert(rest, first, merged...)
}

// oldestToLose is the place of the job that goes when there is no room: the oldest user
// event, else the oldest query, -1 if there is neither; and how many member events wait.
func oldestToLose(jobs []*Job) (at, members int) {
	rank := func(j *Job) int {
		switch j.Event.Type {
		case serf.EventUser:
			return 0
		case serf.EventQuery:
			return 1
		}
		return 2
	}
	at = -1
	for i := range jobs {
		switch r := rank(jobs[i]); {
		case r == 2:
			members++
		case at < 0 || r < rank(jobs[at]):
			at = i
		}
	}
	return at, members
}
