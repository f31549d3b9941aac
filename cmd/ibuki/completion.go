package main

import (
	"fmt"
	"io"
	"strings"
)

var completionCommand = &command{
	name:     "completion",
	synopsis: "Prints completions for a shell",
	hidden:   true,
	help: `
Usage: {prog} completion bash|zsh|fish

  Prints what makes the shell complete commands, flags, their values and names of
  members (which it asks the agent for). Try it with

    bash:  source <({prog} completion bash)
    zsh:   source <({prog} completion zsh)
    fish:  {prog} completion fish | source

  To keep it, write it to /usr/share/bash-completion/completions/{prog},
  /usr/share/zsh/vendor-completions/_{prog} or
  /usr/share/fish/vendor_completions.d/{prog}.fish.
`,
	run:      runCompletion,
	argWords: []string{"bash", "zsh", "fish"},
}

func runCompletion(e *env, args []string) int {
	if len(args) != 1 {
		return e.usage("Name one shell: bash, zsh or fish.")
	}
	shells := map[string]func(io.Writer, string, []*command){
		"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion,
	}
	write := shells[args[0]]
	if write == nil {
		return e.usage(fmt.Sprintf("There are no completions for %q.", args[0]))
	}
	write(e.stdout, e.name, e.listed())
	return 0
}

// membersFunc asks the agent for the names of its members, in any shell's syntax.
// An agent that does not answer leaves the list empty.
const membersFunc = `members 2>/dev/null | awk 'NF >= 3 { print $1 }'`

// bashCompletion is one function: a case for the command, one in it for the flag
// before the cursor.
func bashCompletion(w io.Writer, prog string, list []*command) {
	fmt.Fprintf(w, "# bash completion for %s\n", prog)
	fmt.Fprintf(w, "_%s_members() { %s %s; }\n", prog, prog, membersFunc)
	fmt.Fprintf(w, "_%s() {\n", prog)
	fmt.Fprint(w, `	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=${COMP_WORDS[1]} words=
	COMPREPLY=()
	if [ "$prev" = "=" ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
	if [ "$cur" = "=" ]; then cur=; fi
	prev=${prev#-}; prev=${prev#-}
`)
	fmt.Fprintf(w, "\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\tCOMPREPLY=($(compgen -W %q -- \"$cur\"))\n\t\treturn\n\tfi\n", names(list))
	fmt.Fprint(w, "\tcase $cmd in\n")
	for _, c := range list {
		bashCommand(w, prog, c)
	}
	fmt.Fprint(w, "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n")
	fmt.Fprintf(w, "complete -o default -F _%s %s\n", prog, prog)
}

func bashCommand(w io.Writer, prog string, c *command) {
	fmt.Fprintf(w, "\t%s)\n\t\tcase $prev in\n", c.name)
	var flags, free []string
	for _, o := range options(c.help) {
		flags = append(flags, "-"+o.name)
		switch {
		case o.isSwitch():
		case o.isPath():
			fmt.Fprintf(w, "\t\t%s) return ;;\n", o.name) // bash completes files by itself
		case o.takesNode():
			fmt.Fprintf(w, "\t\t%s) words=$(_%s_members) ;;\n", o.name, prog)
		case len(o.values()) > 0:
			fmt.Fprintf(w, "\t\t%s) words=%q ;;\n", o.name, strings.Join(o.values(), " "))
		default:
			free = append(free, o.name)
		}
	}
	if len(free) > 0 { // anything may follow
		fmt.Fprintf(w, "\t\t%s) ;;\n", strings.Join(free, "|"))
	}
	rest := fmt.Sprintf("%q", strings.Join(flags, " "))
	switch {
	case c.argNodes:
		rest += fmt.Sprintf(`" $(_%s_members)"`, prog)
	case len(c.argWords) > 0:
		rest = fmt.Sprintf("%q", strings.Join(c.argWords, " "))
	}
	fmt.Fprintf(w, "\t\t*) words=%s ;;\n\t\tesac ;;\n", rest)
}

func names(list []*command) string {
	var all []string
	for _, c := range list {
		all = append(all, c.name)
	}
	return strings.Join(all, " ")
}

// zshCompletion describes each flag to _arguments.
func zshCompletion(w io.Writer, prog string, list []*command) {
	fmt.Fprintf(w, "#compdef %s\n", prog)
	fmt.Fprintf(w, "_%s_members() {\n\tlocal -a found\n\tfound=(${(f)\"$(%s %s)\"})\n\tcompadd -a found\n}\n", prog, prog, membersFunc)
	fmt.Fprintf(w, "_%s() {\n\tif (( CURRENT == 2 )); then\n\t\tlocal -a found=(\n", prog)
	for _, c := range list {
		fmt.Fprintf(w, "\t\t\t%s\n", zshQuote(c.name+":"+c.synopsis))
	}
	fmt.Fprint(w, "\t\t)\n\t\t_describe command found\n\t\treturn\n\tfi\n\tlocal cmd=$words[2]\n\tshift words\n\t(( CURRENT-- ))\n\tcase $cmd in\n")
	for _, c := range list {
		fmt.Fprintf(w, "\t%s) _arguments", c.name)
		for _, o := range options(c.help) {
			fmt.Fprintf(w, " \\\n\t\t%s", zshQuote(zshOption(prog, &o)))
		}
		switch {
		case c.argNodes:
			fmt.Fprintf(w, " \\\n\t\t'*:member:_%s_members'", prog)
		case len(c.argWords) > 0:
			fmt.Fprintf(w, " \\\n\t\t'1:one of:(%s)'", strings.Join(c.argWords, " "))
		}
		fmt.Fprint(w, " ;;\n")
	}
	fmt.Fprintf(w, "\tesac\n}\ncompdef _%s %s 2>/dev/null\n[ \"$funcstack[1]\" = _%s ] && _%s \"$@\"\ntrue\n", prog, prog, prog, prog)
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// zshOption is a specification of _arguments: *-flag=[text]:what:how. Every flag
// may come again, since some may and the program says which may not.
func zshOption(prog string, o *option) string {
	text := strings.NewReplacer("[", "(", "]", ")", ":", "", `\`, "").Replace(o.text)
	if o.isSwitch() {
		return fmt.Sprintf("*-%s[%s]", o.name, text)
	}
	how := " "
	switch {
	case o.isPath():
		how = "_files"
	case o.takesNode():
		how = "_" + prog + "_members"
	case len(o.values()) > 0:
		how = "(" + strings.Join(o.values(), " ") + ")"
	}
	return fmt.Sprintf("*-%s=[%s]:%s:%s", o.name, text, o.name, how)
}

// fishCompletion is one line a command and one a flag.
func fishCompletion(w io.Writer, prog string, list []*command) {
	fmt.Fprintf(w, "# fish completion for %s\n", prog)
	fmt.Fprintf(w, "function __%s_members; %s %s; end\n", prog, prog, membersFunc)
	fmt.Fprintf(w, "complete -c %s -f\n", prog)
	for _, c := range list {
		fmt.Fprintf(w, "complete -c %s -n __fish_use_subcommand -a %s -d %s\n", prog, c.name, fishQuote(c.synopsis))
	}
	for _, c := range list {
		in := fmt.Sprintf("complete -c %s -n '__fish_seen_subcommand_from %s'", prog, c.name)
		for _, o := range options(c.help) {
			fmt.Fprintf(w, "%s -o %s%s -d %s\n", in, o.name, fishValues(prog, &o), fishQuote(o.text))
		}
		switch {
		case c.argNodes:
			fmt.Fprintf(w, "%s -a '(__%s_members)'\n", in, prog)
		case len(c.argWords) > 0:
			fmt.Fprintf(w, "%s -a %s\n", in, fishQuote(strings.Join(c.argWords, " ")))
		}
	}
}

func fishValues(prog string, o *option) string {
	switch {
	case o.isSwitch():
		return ""
	case o.isPath():
		return " -r -F"
	case o.takesNode():
		return fmt.Sprintf(" -x -a '(__%s_members)'", prog)
	}
	return " -x -a " + fishQuote(strings.Join(o.values(), " "))
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
