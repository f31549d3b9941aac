package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// memberChange is what members -watch says of one member: how it is now, or that it
// is listed no more. It is one line of JSON, or of text.
type memberChange struct {
	Time   time.Time `json:"time"`
	Change string    `json:"change"` // new, changed, gone
	memberOutput
}

func (c memberChange) row() []string {
	return append([]string{c.Time.Format("15:04:05"), c.Change}, membersOutput{Members: []memberOutput{c.memberOutput}}.rows()[0]...)
}

// watchMembers prints what changes in the list after old was printed, until it is
// interrupted or the agent ends: 0, or 1.
func (e *env) watchMembers(c *rpc.Client, filter rpc.MemberFilter, old membersOutput, format string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	events, err := c.Stream(ctx, "member-join,member-leave,member-failed,member-update,member-reap")
	if err != nil {
		return e.fail("Error watching members: %s", err)
	}
	// What happened before the stream began is in none of its events.
	for {
		members, err := c.MembersFiltered(ctx, filter)
		if err == nil {
			next := newMembersOutput(members, old.detailed)
			e.sayChanges(memberChanges(time.Now(), old.Members, next.Members), format)
			old = next
			_, err = events.Next(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return 0
		case errors.Is(err, io.EOF):
			return e.fail("The agent has ended.")
		case err != nil:
			return e.fail("Error watching members: %s", err)
		}
	}
}

// memberChanges compares two lists, in the order of the names.
func memberChanges(now time.Time, old, next []memberOutput) []memberChange {
	was := make(map[string]memberOutput, len(old))
	for _, m := range old {
		was[m.Name] = m
	}
	var changes []memberChange
	for _, m := range next {
		before, known := was[m.Name]
		delete(was, m.Name)
		switch {
		case !known:
			changes = append(changes, memberChange{now, "new", m})
		case !reflect.DeepEqual(before, m):
			changes = append(changes, memberChange{now, "changed", m})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		changes = append(changes, memberChange{now, "gone", was[name]})
	}
	return changes
}

func (e *env) sayChanges(changes []memberChange, format string) {
	var rows [][]string
	for _, c := range changes {
		if format == "json" {
			line, err := json.Marshal(c)
			if err != nil {
				panic(err) // only strings and numbers
			}
			e.say("%s", line)
			continue
		}
		rows = append(rows, c.row())
	}
	if len(rows) > 0 {
		e.print(e.columns(rows))
	}
}
