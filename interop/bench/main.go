// Command bench runs clusters of ibuki and of the real Serf side by side, as
// processes on loopback addresses, and prints what an idle agent of each costs:
// medians over the agents, and the ratio. Run it from the interop folder:
//
//	go run ./bench            # two clusters of 32 at the same time
//	go run ./bench -mixed     # one cluster, half of it each
//
// It needs Linux (/proc, all of 127.0.0.0/8) and builds both programs itself.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/serf/client"
)

type options struct {
	count int
	mixed bool
	warm  time.Duration
	span  time.Duration
	ours  string
	serf  string
}

func main() {
	var o options
	flag.IntVar(&o.count, "n", 32, "agents of a cluster")
	flag.BoolVar(&o.mixed, "mixed", false, "one cluster, half of it each, instead of two clusters")
	flag.DurationVar(&o.warm, "warm", 30*time.Second, "from the time that all see all to the measurement")
	flag.DurationVar(&o.span, "for", time.Minute, "how long CPU is measured")
	flag.StringVar(&o.ours, "ours", os.Getenv("IBUKI_PROGRAM"), "ibuki, built; empty: build it")
	flag.StringVar(&o.serf, "serf", os.Getenv("IBUKI_SERF"), "the real Serf; empty: build it")
	flag.Parse()
	log.SetOutput(io.Discard) // Serf's client logs every connection that ends
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func bench(o options) error {
	dir, err := os.MkdirTemp("", "ibuki-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.ours, err = build(o.ours, filepath.Join(dir, "ours"), "..", "./cmd/ibuki"); err != nil {
		return err
	}
	if o.serf, err = build(o.serf, filepath.Join(dir, "serf"), ".", "github.com/hashicorp/serf/cmd/serf"); err != nil {
		return err
	}
	agents := layout(o)
	defer func() {
		for _, a := range agents {
			a.end()
		}
	}()
	began := time.Now()
	for _, a := range agents {
		if err := a.start(); err != nil {
			return err
		}
	}
	for _, a := range agents {
		if err := a.awaitMembers(o.count, 5*time.Minute); err != nil {
			return err
		}
	}
	fmt.Printf("%d agents; all saw all %.1fs after the first was started; measuring %v after %v\n",
		len(agents), time.Since(began).Seconds(), o.span, o.warm)
	time.Sleep(o.warm)
	return measure(o, agents)
}

func build(given, out, dir, pkg string) (string, error) {
	if given != "" {
		return given, nil
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return out, nil
}

// layout places the agents: 127.7.1.x ours, 127.7.2.x the real ones.
func layout(o options) []*agent {
	ours, serf := o.count, o.count
	if o.mixed {
		ours, serf = o.count/2, o.count-o.count/2
	}
	var agents []*agent
	for i := range max(ours, serf) { // by turns, so that neither is older
		for _, kind := range []struct {
			name, path string
			net, count int
		}{{"ibuki", o.ours, 1, ours}, {"serf", o.serf, 2, serf}} {
			if i < kind.count {
				a := &agent{kind: kind.name, path: kind.path, name: fmt.Sprintf("%s-%d", kind.name, i), ip: fmt.Sprintf("127.7.%d.%d", kind.net, i+1)}
				a.seed = fmt.Sprintf("127.7.%d.1", kind.net)
				if o.mixed {
					a.seed = "127.7.1.1"
				}
				agents = append(agents, a)
			}
		}
	}
	return agents
}

// agent is one process.
type agent struct {
	kind, path, name, ip, seed string

	cmd *exec.Cmd
	rpc *client.RPCClient
}

func (a *agent) start() error {
	args := []string{"agent", "-node=" + a.name, "-bind=" + a.ip, "-rpc-addr=" + a.ip + ":7373"}
	if a.ip != a.seed {
		args = append(args, "-retry-join="+a.seed, "-retry-interval=1s")
	}
	a.cmd = exec.Command(a.path, args...)
	if err := a.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if a.rpc, err = client.NewRPCClient(a.ip + ":7373"); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not answer: %w", a.name, err)
		}
	}
}

func (a *agent) end() {
	if a.cmd != nil && a.cmd.Process != nil {
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
	}
}

// awaitMembers waits until the agent lists count members, and then lets it alone:
// connections would cost memory.
func (a *agent) awaitMembers(count int, limit time.Duration) error {
	defer a.rpc.Close()
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		members, err := a.rpc.MembersFiltered(nil, "alive", "")
		if err == nil && len(members) == count {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s sees %d members: %v", a.name, len(members), err)
		}
	}
}

// measure prints the table.
func measure(o options, agents []*agent) error {
	before := map[*agent]usage{}
	for _, a := range agents {
		u, err := usageOf(a.cmd.Process.Pid)
		if err != nil {
			return err
		}
		before[a] = u
	}
	time.Sleep(o.span)
	cpu, rss, private := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for _, a := range agents {
		u, err := usageOf(a.cmd.Process.Pid)
		if err != nil {
			return err
		}
		cpu[a.kind] = append(cpu[a.kind], (u.cpu-before[a].cpu).Seconds()/o.span.Minutes())
		rss[a.kind] = append(rss[a.kind], float64(u.rss)/(1<<20))
		private[a.kind] = append(private[a.kind], float64(u.private)/(1<<20))
	}
	fmt.Printf("%-32s %10s %10s %8s\n", "an idle agent, median", "ibuki", "serf", "ratio")
	for _, row := range []struct {
		name   string
		values map[string][]float64
	}{{"CPU, seconds a minute", cpu}, {"RSS, MiB", rss}, {"of it not shared (anon), MiB", private}} {
		ours, serf := median(row.values["ibuki"]), median(row.values["serf"])
		fmt.Printf("%-32s %10.3f %10.3f %8.2f\n", row.name, ours, serf, ours/serf)
	}
	return nil
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
