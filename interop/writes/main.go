//go:build linux

// Command writes measures what writes through the gateways cost: on three gateways and three
// real Groonga servers on loopback addresses, with one client and with many that load one
// record each into one table; beside an earlier build of ibuki, one Groonga server without a
// gateway, and etcd. All systems take turns, round by round, so that they have the same
// neighbours; what is printed are medians of the rounds and of each round's ratios. Run it
// from the interop folder:
//
//	go run ./writes                                  # this build beside one Groonga server
//	go run ./writes -earlier=/usr/local/bin/ibuki    # and beside that build with -buffer -sync=always
//	go run ./writes -parts=log                       # servers that answer at once, beside etcd
//	go run ./writes -parts=idle,killed,stopped,false # CPU at rest; how long writes pause; false elections
//	go run ./writes -parts=compared -clients=4       # what comparing the servers costs searches
//
// It needs Linux, groonga and etcd.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	parts, clients, ours, earlier string
	earlierArgs                   string
	rounds, faults                int
	span, still                   time.Duration
	size                          int
	dir                           string
}

func parseOptions() *options {
	o := &options{}
	flag.StringVar(&o.parts, "parts", "groonga", "what to measure, with commas: "+strings.Join(partNames(), ", "))
	flag.StringVar(&o.clients, "clients", "1,32", "clients at a time, with commas")
	flag.StringVar(&o.ours, "ours", os.Getenv("IBUKI_PROGRAM"), "ibuki, built; empty: build it")
	flag.StringVar(&o.earlier, "earlier", "", "another build of ibuki; empty: none")
	flag.StringVar(&o.earlierArgs, "earlier-args", "-sync=always -buffer", "how that one keeps writes; the directory follows")
	flag.IntVar(&o.rounds, "rounds", 7, "how often each system has its turn")
	flag.DurationVar(&o.span, "for", 2*time.Second, "how long a turn takes")
	flag.DurationVar(&o.still, "rest", 20*time.Second, "idle: how long")
	flag.IntVar(&o.faults, "faults", 20, "killed, stopped: how many")
	flag.IntVar(&o.size, "size", 100, "bytes of a record's value")
	flag.Parse()
	return o
}

type part struct {
	name string
	run  func(b *bench) error
}

func parts() []part {
	return []part{
		{"groonga", (*bench).groonga}, {"log", (*bench).logAlone}, {"idle", (*bench).idle},
		{"killed", (*bench).killed}, {"stopped", (*bench).stopped}, {"false", (*bench).falseElections}, {"compared", (*bench).compared},
	}
}

func partNames() (names []string) {
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// bench is one call of the program.
type bench struct {
	*options
	ctx    context.Context
	counts []int // of clients
	blocks int   // of loopback addresses in use
	number int   // of records written
}

func main() {
	o := parseOptions()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.all(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (o *options) all(ctx context.Context) (err error) {
	b := &bench{options: o, ctx: ctx}
	for _, s := range strings.Split(o.clients, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			return fmt.Errorf("-clients: %q is no number of clients (1 to 1000)", s)
		}
		b.counts = append(b.counts, n)
	}
	if o.dir, err = os.MkdirTemp("", "ibuki-writes-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	if o.ours == "" {
		o.ours = filepath.Join(o.dir, "ibuki")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", o.ours, "./cmd/ibuki")
		build.Dir = ".."
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, text)
		}
	}
	for _, name := range strings.Split(o.parts, ",") {
		if err := b.part(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (b *bench) part(name string) error {
	for _, p := range parts() {
		if p.name == name {
			load, _ := os.ReadFile("/proc/loadavg")
			fmt.Printf("%s (load %.14s)\n", name, load)
			return p.run(b)
		}
	}
	return fmt.Errorf("-parts: there is no such part; there are %s", strings.Join(partNames(), ", "))
}
