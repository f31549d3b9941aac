package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/rpc"
)

var membersCommand = &command{
	name:     "members",
	synopsis: "Lists the members of the cluster",
	help: `
Usage: {prog} members [options]

  Lists the members that the agent knows, sorted by name: name, address,
  status and tags.

  Regular expressions have to match the whole value.

Options:

  -detailed                 With the protocol versions, and with what is known
                            of members that failed or are degraded: crashed,
                            silent or hung (text only; the JSON always has all).
  -format=text              Form of the output: 'text' or 'json'.
  -name=<regexp>            Only members of a matching name.
  -role=<regexp>            Only members with a matching tag 'role'. Old; use
                            '-tag role=<regexp>'.
  -status=<regexp>          Only members of a matching status: alive, leaving,
                            left, failed.
  -tag <key>=<regexp>       Only members whose tag of that key matches. Given
                            more than once, all have to.
  -watch                    Then print each change of the list as it happens, until
                            interrupted: a line each, with -format=json an object.
` + rpcHelp,
	run: runMembers,
}

func runMembers(e *env, args []string) int {
	fs := e.flags()
	detailed := fs.Bool("detailed", false, "")
	role := fs.String("role", "", "")
	status := fs.String("status", "", "")
	format := fs.String("format", "text", "")
	name := fs.String("name", "", "")
	var tagArgs listFlag
	fs.Var(&tagArgs, "tag", "")
	watch := fs.Bool("watch", false, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil || e.extra() {
		return 1
	}
	if *role != "" {
		e.say("Deprecation warning: 'Role' has been replaced with 'Tags'")
		tagArgs = append(tagArgs, "role="+*role)
	}
	tags, err := parseTags(tagArgs)
	if err != nil {
		return e.fail("Error: %s", err)
	}
	if fault := statusFault(*status); fault != "" && !e.asSerf() {
		return e.fail("%s", fault)
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	filter := rpc.MemberFilter{Tags: tags, Status: *status, Name: *name}
	members, err := c.MembersFiltered(ctx, filter)
	if err != nil {
		return e.fail("Error retrieving members: %s", err)
	}
	list := newMembersOutput(members, *detailed)
	out, err := formatOutput(list, func() string { return e.columns(list.rows()) }, *format)
	if err != nil {
		return e.fail("Encoding error: %s", err)
	}
	e.say("%s", out)
	if *watch {
		return e.watchMembers(c, filter, list, *format)
	}
	return 0
}

// membersOutput is what members prints. The JSON keys are Serf's; an empty
// list is null, as there.
type membersOutput struct {
	Members  []memberOutput `json:"members"`
	detailed bool
}

type memberOutput struct {
	Name     string            `json:"name"`
	Addr     string            `json:"addr"` // with the port
	Port     uint16            `json:"port"`
	Tags     map[string]string `json:"tags"` // never null
	Status   string            `json:"status"`
	Protocol map[string]uint8  `json:"protocol"` // min, max, version of Serf's protocol
	// Not Serf's.
	Verdict  string `json:"verdict,omitempty"`
	Degraded bool   `json:"degraded,omitempty"`
}

func newMembersOutput(members []rpc.Member, detailed bool) membersOutput {
	slices.SortFunc(members, func(a, b rpc.Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Addr, b.Addr))
	})
	out := membersOutput{detailed: detailed}
	for _, m := range members {
		addr := net.TCPAddr{IP: m.Addr, Port: int(m.Port)}
		if m.Tags == nil {
			m.Tags = map[string]string{}
		}
		out.Members = append(out.Members, memberOutput{
			Name: m.Name, Addr: addr.String(), Port: m.Port, Tags: m.Tags, Status: m.Status,
			Protocol: map[string]uint8{"min": m.DelegateMin, "max": m.DelegateMax, "version": m.DelegateCur},
			Verdict:  m.Verdict, Degraded: m.Degraded,
		})
	}
	return out
}

// rows are the cells of the text format.
func (o membersOutput) rows() (rows [][]string) {
	for _, m := range o.Members {
		var tags []string
		for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
			tags = append(tags, key+"="+m.Tags[key])
		}
		row := []string{m.Name, m.Addr, m.Status, strings.Join(tags, ",")}
		if o.detailed {
			p := m.Protocol
			row = append(row, fmt.Sprintf("Protocol Version: %d", p["version"]),
				fmt.Sprintf("Available Protocol Range: [%d, %d]", p["min"], p["max"]))
			if m.Verdict != "" {
				row = append(row, "Verdict: "+m.Verdict)
			}
			if m.Degraded {
				row = append(row, "Degraded")
			}
		}
		rows = append(rows, row)
	}
	return rows
}
