//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// standInSchema is what the servers that answer at once say to have.
const standInSchema = "table_create Bench TABLE_HASH_KEY ShortText\ncolumn_create Bench value COLUMN_SCALAR Text\n"

// standIn answers as a Groonga server does that needs no time: it keeps its configuration
// and nothing else. It ends with the program.
func standIn(host string) error {
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, groongaPort))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	config := make(map[string]string)
	answer := func(ctx *fasthttp.RequestCtx) string {
		mu.Lock()
		defer mu.Unlock()
		args := ctx.QueryArgs()
		switch key := string(args.Peek("key")); strings.TrimPrefix(string(ctx.Path()), "/d/") {
		case "config_get":
			return strconv.Quote(config[key])
		case "config_set":
			config[key] = string(args.Peek("value"))
		case "config_delete":
			delete(config, key)
		case "thread_limit":
			return "2"
		case "status":
			return `{"starttime":12,"uptime":5}`
		case "object_list":
			return "{}"
		case "load":
			return strconv.Itoa(strings.Count(string(ctx.PostBody()), `"_key"`))
		}
		return "true"
	}
	go func() {
		_ = fasthttp.Serve(l, func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Path()) == "/d/dump" {
				ctx.SetBodyString(standInSchema)
				return
			}
			ctx.SetContentType("application/json")
			ctx.SetBodyString("[[0,0.0,0.0]," + answer(ctx) + "]")
		})
	}()
	return nil
}

// logAlone measures the log without Groonga's time, beside etcd.
func (b *bench) logAlone() error {
	c, err := b.cluster("alone", b.ours, []string{"-log"}, false)
	defer c.end()
	if err != nil {
		return err
	}
	ours := overHTTP("ibuki, servers that answer at once", c.fronts())
	ours.cpu = c.cpu
	etcd, end, err := b.etcd()
	defer end()
	if err != nil {
		return err
	}
	return b.compare([]*system{ours, etcd})
}

// etcd starts three members of etcd.
func (b *bench) etcd() (*system, func(), error) {
	var members []*process
	end := func() {
		for _, p := range members {
			p.kill()
		}
	}
	program, err := exec.LookPath("etcd")
	if err != nil {
		return nil, end, err
	}
	hosts, err := b.hosts(3)
	if err != nil {
		return nil, end, err
	}
	var all, fronts []string
	for i, h := range hosts {
		all = append(all, fmt.Sprintf("e%d=http://%s:2380", i, h))
		fronts = append(fronts, "http://"+h+":2379")
	}
	for i, h := range hosts {
		dir := filepath.Join(b.dir, fmt.Sprint("etcd", i))
		p := &process{name: fmt.Sprint("etcd", i), log: dir + ".log", args: []string{program, "--name", fmt.Sprint("e", i), "--data-dir", dir,
			"--listen-peer-urls", "http://" + h + ":2380", "--initial-advertise-peer-urls", "http://" + h + ":2380",
			"--listen-client-urls", fronts[i], "--advertise-client-urls", fronts[i],
			"--initial-cluster", strings.Join(all, ","), "--log-level", "error"}}
		members = append(members, p)
		if err := p.start(); err != nil {
			return nil, end, err
		}
	}
	s := &system{name: "etcd", runs: make(map[int][]turn), writer: func(number int) (func(key, value string) error, func()) {
		client, err := clientv3.New(clientv3.Config{Endpoints: fronts[number%3 : number%3+1], DialTimeout: patience})
		if err != nil {
			return func(string, string) error { return err }, func() {}
		}
		return func(key, value string) error {
			_, err := client.Put(b.ctx, key, value)
			return err
		}, func() { client.Close() }
	}}
	s.cpu = func() (sum time.Duration) {
		for _, p := range members {
			sum += p.cpu()
		}
		return sum
	}
	return s, end, eventually(func() error {
		client, err := clientv3.New(clientv3.Config{Endpoints: fronts, DialTimeout: patience})
		if err != nil {
			return err
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
		defer cancel()
		_, err = client.Put(ctx, "first", "")
		return err
	})
}

// eventually calls f until it does not fail.
func eventually(f func() error) error {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := f()
		if err == nil || time.Since(began) > patience {
			return err
		}
	}
}
