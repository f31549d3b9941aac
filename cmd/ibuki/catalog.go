package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
)

var catalogCommand = &command{
	name:     "catalog",
	synopsis: "Checks or makes a Droonga catalog",
	hidden:   true,
	argWords: []string{"check", "generate"},
	help: `
Usage: {prog} catalog check [options] FILE
       {prog} catalog generate [options]

  check reads a catalog.json (- is stdin) and says which slices there are, how
  much of the data each gets and which volumes hold it, or all that is wrong with it,
  each fault with its place. The exit code is 1 if anything is wrong.

  generate prints a catalog of version 2 that spreads the replicas of each slice
  over the hosts.

Options:

  -key=KEY               With check: also says where the record with that key
                         belongs.
  -hosts=HOST,HOST,...   With generate, as all below: the hosts, as they are named
                         in the Serf cluster. Of HOST:PORT the servers begin at
                         that port.
  -replicas=N            How many copies there are of each slice; as many as there
                         are hosts for if it is not given.
  -slices=1              Into how many slices the data is cut.
  -port=10041            The port of the first Groonga server on each host.
  -tag=droonga           The tag in the addresses.
  -dataset=Default       The name of the dataset.
  -fact=TABLE            The table whose records are cut into slices; all others are
                         whole on each server. Without it all tables are cut, and
                         what follows references to other tables is refused.
`,
	run: runCatalog,
}

func runCatalog(e *env, args []string) int {
	if len(args) == 0 {
		return e.usage("Say what to do: check or generate.")
	}
	switch args[0] {
	case "check":
		return catalogCheck(e, args[1:])
	case "generate":
		return catalogGenerate(e, args[1:])
	}
	return e.usage(fmt.Sprintf("There is no %q; it is check or generate.", args[0]))
}

func catalogCheck(e *env, args []string) int {
	fs := e.flags()
	key := fs.String("key", "", "")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("One file has to be given.")
	}
	name := fs.Arg(0)
	data, err := readInput(e, name)
	if err != nil {
		return e.fail("Error reading the catalog: %s", err)
	}
	c, err := catalog.Parse(data)
	var invalid *catalog.InvalidError
	if errors.As(err, &invalid) {
		for line := range strings.Lines(invalid.Error()) {
			e.say("%s: %s", name, strings.TrimSpace(line))
		}
		return 1
	}
	e.say("%s: version %d, %s, %s on %s", name, c.Version,
		counted(len(c.Datasets), "dataset"), counted(len(c.Addresses()), "volume"), counted(len(c.Names()), "node"))
	for _, d := range c.Datasets {
		sayDataset(e, d, *key)
	}
	for _, d := range c.Datasets {
		if d.Fact == "" && slices.ContainsFunc(d.Layouts, func(l *catalog.Layout) bool { return len(l.Parts) > 1 }) {
			e.say("warning: dataset %s: %s", d.Name, noFact)
		}
	}
	for _, w := range c.Warnings {
		e.say("warning: %s", w)
	}
	return 0
}

// sayDataset tells a dataset's slices and, if a key is given, where it belongs.
func sayDataset(e *env, d *catalog.Dataset, key string) {
	for i, l := range d.Layouts {
		title := fmt.Sprintf("dataset %s", d.Name)
		if len(d.Layouts) > 1 {
			title += fmt.Sprintf(", replicas cut in way %d of %d", i+1, len(d.Layouts))
		}
		e.say("%s:", title)
		for _, p := range l.Parts {
			label := "all"
			if p.Label != "" {
				label = "slice " + p.Label
			}
			var addresses []string
			for _, a := range p.Addresses {
				addresses = append(addresses, a.String())
			}
			e.say("  %s (%.1f%%): %s", label, 100*p.Share, strings.Join(addresses, ", "))
		}
	}
	if key == "" {
		return
	}
	holders, err := d.Holders(catalog.Key(key))
	if err != nil {
		e.say("key %q: %s", key, err)
		return
	}
	var addresses []string
	for _, a := range holders {
		addresses = append(addresses, a.String())
	}
	e.say("key %q: %s", key, strings.Join(addresses, ", "))
}

// noFact is what is wrong with slices and no table that is named as the one to be cut.
const noFact = "no fact table is named (-fact=TABLE): the records of all tables are cut into slices, so that commands that follow references to other tables are refused"

// counted is a number with its word.
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// readInput reads a file, or stdin for "-".
func readInput(e *env, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(e.stdin)
	}
	return os.ReadFile(name)
}

func catalogGenerate(e *env, args []string) int {
	fs := e.flags()
	var p catalog.Plan
	hosts := fs.String("hosts", "", "")
	fs.IntVar(&p.Replicas, "replicas", 0, "")
	fs.IntVar(&p.Slices, "slices", 1, "")
	fs.IntVar(&p.Port, "port", catalog.DefaultPort, "")
	fs.StringVar(&p.Tag, "tag", catalog.DefaultTag, "")
	fs.StringVar(&p.Dataset, "dataset", catalog.DefaultDataset, "")
	fs.StringVar(&p.Fact, "fact", "", "")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() > 0 {
		return e.usage(fmt.Sprintf("There is nothing to do with %q.", fs.Arg(0)))
	}
	for host := range strings.SplitSeq(*hosts, ",") {
		if host = strings.TrimSpace(host); host != "" {
			p.Hosts = append(p.Hosts, host)
		}
	}
	p.Effective = time.Now().UTC().Format(time.RFC3339)
	text, err := catalog.Generate(p)
	if err != nil {
		return e.fail("Error making a catalog: %s", err)
	}
	_, _ = e.stdout.Write(text)
	if p.Slices > 1 && p.Fact == "" {
		_, _ = fmt.Fprintln(e.stderr, "warning: "+noFact)
	}
	return 0
}
