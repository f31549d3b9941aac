// Command capture records what the real memberlist and Serf libraries send each
// other, and stores it as the golden files of package wire:
//
//	go run ./capture -out ../wire/testdata/golden -old /usr/bin/serf
//
// Small clusters run inside this process over a network of its own that notes
// every packet and stream as its sender handed it over, framing included. One
// more has an old agent (Debian's, Serf 0.9.4) as a process among them. Of each scenario those are kept that show something not seen in it before.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("out", "../wire/testdata/golden", "directory to write to; its files are replaced")
	old := flag.String("old", os.Getenv("IBUKI_SERF_OLD"), "an old serf program; default: $IBUKI_SERF_OLD")
	flag.Parse()
	if err := run(*out, *old); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(out, old string) error {
	if old == "" {
		return errors.New("no old serf program given: -old or IBUKI_SERF_OLD")
	}
	var samples []sample
	all := append(scenarios, scenario{name: "old", play: func(n *network) error { return process(n, old) }})
	for _, sc := range all {
		n := newNetwork()
		if err := sc.play(n); err != nil {
			return fmt.Errorf("scenario %s: %w", sc.name, err)
		}
		kept, err := choose(sc, n.records())
		if err != nil {
			return fmt.Errorf("scenario %s: %w", sc.name, err)
		}
		fmt.Printf("%-12s %3d kept\n", sc.name, len(kept))
		samples = append(samples, kept...)
	}
	if missing := missingTypes(samples); len(missing) > 0 {
		return fmt.Errorf("nothing seen of %v", missing)
	}
	return store(out, samples)
}
