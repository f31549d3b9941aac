package main

import (
	"regexp"
	"strings"
)

// option is one flag as a help text describes it. Completions and manual pages
// are made of these, so that there is one description of each flag.
type option struct {
	name string // without the dash
	arg  string // what follows it, as written: "=PATH", " KEY=VALUE"; "": a switch
	text string // the description, in one line
}

// optionRE is an option's line: two spaces, the dash, the name; then "=VALUE", or
// " VALUE" and at least two spaces; then the description, unless it begins on the
// next line.
var optionRE = regexp.MustCompile(`^  -([a-z][a-z0-9-]*)(?:(\[?=\S+)(?:\s+(\S.*))?|( \S+)(?:\s{2,}(\S.*))?|\s{2,}(\S.*))?$`)

// options reads the flags that a help text lists.
func options(help string) []option {
	_, list, _ := strings.Cut(help, "\nOptions:\n")
	var all []option
	for line := range strings.Lines(list) {
		line = strings.TrimRight(line, "\n")
		switch m := optionRE.FindStringSubmatch(line); {
		case m != nil:
			all = append(all, option{name: m[1], arg: m[2] + m[4], text: m[3] + m[5] + m[6]})
		case line == "":
		case !strings.HasPrefix(line, "    ") || len(all) == 0:
			return all // the next part of the help
		default:
			last := &all[len(all)-1]
			last.text = strings.TrimSpace(last.text + " " + strings.TrimSpace(line))
		}
	}
	return all
}

// isSwitch reports whether the flag stands alone.
func (o *option) isSwitch() bool { return o.arg == "" || strings.HasPrefix(o.arg, "[=") }

// isPath reports whether the flag's value is a file or a folder.
func (o *option) isPath() bool {
	return strings.Contains(o.arg, "PATH") || strings.Contains(o.arg, "FILE") || strings.Contains(o.arg, "DIR")
}

var quotedRE = regexp.MustCompile(`'([a-z-]+)'`)

// values are the words that the flag takes, if it takes only those: quoted in
// the description of a format, listed in that of a level or a profile.
func (o *option) values() []string {
	switch o.name {
	case "format", "log-format":
		var words []string
		for _, m := range quotedRE.FindAllStringSubmatch(o.text, -1) {
			words = append(words, m[1])
		}
		return words
	case "log-level":
		return []string{"trace", "debug", "info", "warn", "err"}
	case "profile":
		return []string{"lan", "wan", "local"}
	case "status":
		return []string{"alive", "leaving", "left", "failed"}
	case "protocol":
		return []string{"2", "3", "4", "5"}
	case "play":
		return []string{"walkthrough"}
	}
	return nil
}

// takesNode reports whether the flag's value is the name of a member.
func (o *option) takesNode() bool {
	return o.name == "node" && !strings.Contains(o.text, "this node, unique")
}

// listed are the commands that the list of commands shows under the name of e.
func (e *env) listed() []*command {
	var list []*command
	for _, c := range e.all {
		if e.shows(c) && c.synopsis != "" {
			list = append(list, c)
		}
	}
	return list
}
