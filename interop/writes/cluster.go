//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// The ports on each loopback address.
const (
	gatewayPort = 10040
	groongaPort = 10041
)

// patience is how long anything may take that is not measured.
const patience = 30 * time.Second

// cluster are three gateways, and a Groonga server beside each.
type cluster struct {
	name     string
	program  string
	hosts    []string
	servers  []*process // nil: there are others in their place
	gateways []*process
}

// hosts are n loopback addresses that nobody else uses.
func (b *bench) hosts(n int) ([]string, error) {
	for b.blocks++; b.blocks < 250; b.blocks++ {
		var hosts []string
		for i := range n {
			hosts = append(hosts, fmt.Sprintf("127.16.%d.%d", b.blocks, i+1))
		}
		free := !slices.ContainsFunc(hosts, func(h string) bool {
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", h, gatewayPort))
			if err == nil {
				l.Close()
			}
			return err != nil
		})
		if free {
			return hosts, nil
		}
	}
	return nil, fmt.Errorf("no free loopback addresses in 127.16.0.0/16")
}

// server is a Groonga server with an empty database.
func (b *bench) server(name, host string) (*process, error) {
	program, err := exec.LookPath("groonga")
	if err != nil {
		return nil, err
	}
	db := filepath.Join(b.dir, name+".db")
	if text, err := exec.Command(program, "-n", db, "status").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("groonga -n: %w: %s", err, text)
	}
	p := &process{name: name, log: filepath.Join(b.dir, name+".log"), args: []string{program, "--protocol", "http",
		"--bind-address", host, "--port", fmt.Sprint(groongaPort), "--log-path", db + ".log", "-s", db}}
	return p, p.start()
}

// cluster starts one. keep are the arguments of how writes are kept; the directory is
// appended to the last. Without servers of its own others answer at their addresses.
func (b *bench) cluster(name, program string, keep []string, own bool) (c *cluster, err error) {
	c = &cluster{name: name, program: program}
	if c.hosts, err = b.hosts(3); err != nil {
		return nil, err
	}
	var replicas []any
	for _, h := range c.hosts {
		volume := map[string]any{"address": fmt.Sprintf("%s:%d/groonga.000", h, groongaPort)}
		replicas = append(replicas, map[string]any{"dimension": "_key", "slicer": "hash",
			"slices": []any{map[string]any{"label": "0", "weight": 100, "volume": volume}}})
	}
	text, err := json.Marshal(map[string]any{"version": 2, "effectiveDate": "2026-01-01T00:00:00Z", "datasets": map[string]any{
		"Default": map[string]any{"nWorkers": 1, "plugins": []any{}, "schema": map[string]any{}, "replicas": replicas}}})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, name+"-catalog.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	for i, h := range c.hosts {
		if own {
			s, err := b.server(fmt.Sprint(name, "-groonga", i), h)
			if err != nil {
				return c, err
			}
			c.servers = append(c.servers, s)
		} else if err := standIn(h); err != nil {
			return c, err
		}
		dir := filepath.Join(b.dir, fmt.Sprint(name, "-kept", i))
		args := append([]string{program, "gateway", "-catalog=" + file, "-live-nodes=" + filepath.Join(b.dir, "no-list"),
			"-http=" + c.front(i)}, keep...)
		args[len(args)-1] += "=" + dir
		g := &process{name: fmt.Sprint(name, "-gateway", i), log: dir + ".log", args: args}
		c.gateways = append(c.gateways, g)
	}
	for _, g := range c.gateways {
		if err := g.start(); err != nil {
			return c, err
		}
	}
	return c, c.settle(own)
}

func (c *cluster) front(i int) string { return fmt.Sprintf("%s:%d", c.hosts[i], gatewayPort) }

// fronts are the gateways' addresses.
func (c *cluster) fronts() (list []string) {
	for i := range c.gateways {
		list = append(list, c.front(i))
	}
	return list
}

// settle waits until writes are done, and makes the table.
func (c *cluster) settle(create bool) error {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := errorsOf(c.fronts(), func(front string) error {
			if create {
				return schema(front)
			}
			return load(&http.Client{Timeout: 3 * time.Second}, front, []byte(`[{"_key":"first"}]`))
		})
		if err == nil {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%s does no writes: %w\n%s", c.name, err, c.gateways[0].tail())
		}
	}
}

func errorsOf(list []string, f func(string) error) error {
	for _, x := range list {
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) end() {
	if c == nil {
		return
	}
	for _, p := range slices.Concat(c.gateways, c.servers) {
		p.kill()
	}
}

// cpu is what gateways have used so far.
func (c *cluster) cpu() (sum time.Duration) {
	for _, g := range c.gateways {
		sum += g.cpu()
	}
	return sum
}

// logStatus is what /status says of the log.
type logStatus struct {
	Cluster struct {
		Log struct {
			Leader string
			Term   uint64
		}
	}
}

// leader asks the gateways who leads: its place; -1 if none says so.
func (c *cluster) leader() (place int, term uint64) {
	place = -1
	for i := range c.gateways {
		var s logStatus
		if err := getJSON("http://"+c.front(i)+"/status", &s); err != nil {
			continue
		}
		term = max(term, s.Cluster.Log.Term)
		for j := range c.gateways {
			if s.Cluster.Log.Leader == c.front(j) {
				place = j
			}
		}
	}
	return place, term
}
