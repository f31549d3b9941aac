//go:build linux

// Command bench measures ibuki beside the real Serf: clusters of each in turn, as
// real processes, driven through Serf's own RPC client. It prints a table of
// medians with their ratio, and draws it. Run it from the interop folder:
//
//	go run ./bench                              # everything: about half an hour
//	go run ./bench -short                       # three nodes, one run of each
//	go run ./bench -parts=crash,event -n=32     # some of it
//
// With -data=FILE results are kept, so that parts run one after the other make
// one table. It needs Linux, and builds both programs itself. As root, each
// cluster has a network of its own (a namespace), in which bytes can be counted and
// links cut; else all is on loopback addresses, and those parts are left out.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	parts, sizes, only string
	runs               int
	warm, span, starve time.Duration
	ours, serf         string
	data, svg, net     string
	mass               string
	massAfter          time.Duration
	massLimit          time.Duration
	short              bool
	inside             bool
}

func parseOptions() *options {
	o := &options{}
	flag.StringVar(&o.parts, "parts", "", "what to measure, with commas; empty: all of "+strings.Join(partNames(), ",")+"; life is "+strings.Join(otherNames(), ",")+" on one cluster")
	flag.StringVar(&o.sizes, "n", "3,32", "agents of a cluster, with commas")
	flag.StringVar(&o.only, "only", "", "ibuki or serf; empty: both")
	flag.IntVar(&o.runs, "runs", 5, "how often each is measured")
	flag.DurationVar(&o.warm, "warm", 20*time.Second, "idle: from the time that all see all to the measurement")
	flag.DurationVar(&o.span, "for", time.Minute, "idle: how long")
	flag.DurationVar(&o.starve, "starve", time.Minute, "starve, load: how long")
	flag.StringVar(&o.mass, "mass", "16:14,32:16,32:24,64:32,11:10,32:31", "mass: the cases, AGENTS:KILLED with commas")
	flag.DurationVar(&o.massAfter, "mass-after", 6*time.Second, "mass: from the time that all see all to the crashes")
	flag.DurationVar(&o.massLimit, "mass-limit", 45*time.Second, "mass: how long reports are waited for")
	flag.StringVar(&o.ours, "ours", os.Getenv("IBUKI_PROGRAM"), "ibuki, built; empty: build it")
	flag.StringVar(&o.serf, "serf", os.Getenv("IBUKI_SERF"), "the real Serf; empty: build it")
	flag.StringVar(&o.data, "data", "", "a file to keep results in, those of former calls too")
	flag.StringVar(&o.svg, "svg", "", "a folder to write the chart to")
	flag.StringVar(&o.net, "net", "127.18", "the first half of the addresses")
	flag.BoolVar(&o.short, "short", false, "three nodes, one run, short times")
	flag.BoolVar(&o.inside, "inside", false, "for the program's own use: it has a network of its own")
	flag.Parse()
	if o.short {
		o.sizes, o.runs, o.warm, o.span, o.starve = "3", 1, 3*time.Second, 5*time.Second, 5*time.Second
	}
	return o
}

func main() {
	o := parseOptions()
	log.SetOutput(io.Discard) // Serf's client logs every connection that ends
	var err error
	if o.inside || os.Geteuid() != 0 {
		err = bench(o)
	} else {
		err = again()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// again runs the program once more, in a network namespace that goes when it ends.
func again() error {
	cmd := exec.Command("/proc/self/exe", append(slices.Clone(os.Args[1:]), "-inside")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	// Whoever ends this one means the other.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	if err := startProcess(cmd); err != nil {
		return err
	}
	go func() {
		for s := range ended {
			_ = cmd.Process.Signal(s)
		}
	}()
	return cmd.Wait()
}

func bench(o *options) error {
	dir, err := os.MkdirTemp("", "ibuki-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.inside {
		if err := ip("link set lo up"); err != nil {
			return err
		}
	}
	kinds := []*kind{{name: "ibuki", path: o.ours}, {name: "serf", path: o.serf}}
	if kinds[0].path, err = build(o.ours, filepath.Join(dir, "ours"), "..", "./cmd/ibuki"); err != nil {
		return err
	}
	if kinds[1].path, err = build(o.serf, filepath.Join(dir, "serf"), ".", "github.com/hashicorp/serf/cmd/serf"); err != nil {
		return err
	}
	kinds = slices.DeleteFunc(kinds, func(k *kind) bool { return o.only != "" && o.only != k.name })
	// Whoever interrupts wants the table of what there is, and no agent left.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	b := &runner{o: o, kinds: kinds, results: readResults(o.data)}
	done := make(chan error, 1)
	go func() { done <- b.all() }()
	select {
	case err = <-done:
	case <-interrupted:
		err = fmt.Errorf("interrupted")
		defer os.Exit(1)
	}
	endAll()
	fmt.Print(b.results.table())
	if o.data != "" {
		err = firstOf(err, b.results.write(o.data))
	}
	if o.svg != "" {
		err = firstOf(err, b.results.draw(o.svg))
	}
	return err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *options) counts() (n []int, err error) {
	for _, s := range strings.Split(o.sizes, ",") {
		i, err := strconv.Atoi(s)
		if err != nil || i < 3 || i > 200 {
			return nil, fmt.Errorf("-n: %q is no number of agents (3 to 200)", s)
		}
		n = append(n, i)
	}
	return n, nil
}

func build(given, out, dir, pkg string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return out, nil
}

// ip runs the program of that name.
func ip(line string) error {
	if text, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, text)
	}
	return nil
}
