//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// schema makes the table that is loaded into; one that is there stays.
func schema(front string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for _, uri := range []string{"/d/table_create?name=Bench&flags=TABLE_HASH_KEY&key_type=ShortText",
		"/d/column_create?table=Bench&name=value&flags=COLUMN_SCALAR&type=Text"} {
		resp, err := client.Get("http://" + front + uri)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if !bytes.HasSuffix(text, []byte("true]")) && !bytes.Contains(text, []byte("already")) {
			return fmt.Errorf("%s: %.300s", uri, text)
		}
	}
	return nil
}

// loadURI is the command that all clients give.
const loadURI = "/d/load?table=Bench"

// load loads records.
func load(client *http.Client, front string, body []byte) error {
	resp, err := client.Post("http://"+front+loadURI, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.HasSuffix(bytes.TrimSpace(text), []byte("],1]"))) {
		err = fmt.Errorf("%s: %.300s", resp.Status, text)
	}
	return err
}

func getJSON(url string, v any) error {
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

// system is something that takes writes.
type system struct {
	name string
	// writer makes a client: number is its number. What it returns writes one record.
	writer func(number int) (write func(key, value string) error, end func())
	cpu    func() time.Duration // nil: not measured
	runs   map[int][]turn       // by clients
}

// overHTTP is the system whose clients load at addresses, a client at each in turn.
func overHTTP(name string, fronts []string) *system {
	return &system{name: name, runs: make(map[int][]turn), writer: func(number int) (func(key, value string) error, func()) {
		client := &fasthttp.HostClient{Addr: fronts[number%len(fronts)], MaxConns: 1, ReadTimeout: patience}
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI("http://" + client.Addr + loadURI)
		req.Header.SetMethod(fasthttp.MethodPost)
		req.Header.SetContentType("application/json")
		return func(key, value string) error {
			req.SetBodyString(`[{"_key":"` + key + `","value":"` + value + `"}]`)
			if err := client.Do(req, resp); err != nil {
				return err
			}
			if text := bytes.TrimSpace(resp.Body()); resp.StatusCode() != http.StatusOK || !bytes.HasSuffix(text, []byte("],1]")) {
				return fmt.Errorf("%d: %.300s", resp.StatusCode(), text)
			}
			return nil
		}, client.CloseIdleConnections
	}}
}

// turn is what one turn of a system showed.
type turn struct {
	rate        float64 // acknowledged writes a second
	median, p99 time.Duration
	cpu         time.Duration // a write, where it is measured
}

// play lets clients write, one record each time, and counts what is acknowledged.
func (b *bench) play(s *system, clients int) error {
	value := strings.Repeat("v", b.size)
	var over atomic.Bool
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	first := b.number
	b.number += 1 << 24
	var before time.Duration
	if s.cpu != nil {
		before = s.cpu()
	}
	began := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		number := i
		if clients == 1 {
			number = len(s.runs[1]) // each of the gateways in turn
		}
		write, end := s.writer(number)
		wg.Go(func() {
			defer end()
			for n := 0; !over.Load(); n++ {
				at := time.Now()
				if errs[i] = write(fmt.Sprintf("k%d-%d-%d", first, i, n), value); errs[i] != nil {
					return
				}
				took[i] = append(took[i], time.Since(at))
			}
		})
	}
	select {
	case <-time.After(b.span):
	case <-b.ctx.Done():
	}
	over.Store(true)
	wg.Wait()
	passed := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		return fmt.Errorf("%s: no write was done", s.name)
	}
	t := turn{rate: float64(len(all)) / passed.Seconds(), median: all[len(all)/2], p99: all[len(all)*99/100]}
	if s.cpu != nil {
		t.cpu = (s.cpu() - before) / time.Duration(len(all))
	}
	s.runs[clients] = append(s.runs[clients], t)
	return b.ctx.Err()
}

// compare has the systems take turns and prints medians, and the first one's ratio to each.
func (b *bench) compare(systems []*system) error {
	for _, s := range systems { // to warm up; not counted
		if err := b.play(s, 4); err != nil {
			return err
		}
		clear(s.runs)
	}
	for round := range b.rounds {
		for _, clients := range b.counts {
			for i := range systems {
				if err := b.play(systems[(i+round)%len(systems)], clients); err != nil {
					return err
				}
			}
		}
	}
	for _, clients := range b.counts {
		fmt.Printf("\n| %d clients | writes a second | median | p99 | CPU of the gateways, a write | rate of the first, × | its median, × |\n"+
			"| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n", clients)
		for _, s := range systems {
			fmt.Println(s.row(clients, systems[0]))
		}
	}
	fmt.Println()
	return nil
}

func (s *system) row(clients int, first *system) string {
	runs, cpu := s.runs[clients], "–"
	if s.cpu != nil {
		cpu = short(median(runs, func(t turn) float64 { return float64(t.cpu) }))
	}
	var rates, medians []float64
	for i, t := range runs {
		rates = append(rates, first.runs[clients][i].rate/t.rate)
		medians = append(medians, float64(first.runs[clients][i].median)/float64(t.median))
	}
	of := func(list []float64) float64 { return median(list, func(v float64) float64 { return v }) }
	return fmt.Sprintf("| %s | %.0f | %s | %s | %s | %.2f | %.2f |", s.name, median(runs, func(t turn) float64 { return t.rate }),
		short(median(runs, func(t turn) float64 { return float64(t.median) })),
		short(median(runs, func(t turn) float64 { return float64(t.p99) })), cpu, of(rates), of(medians))
}

func short(nanoseconds float64) string {
	return time.Duration(nanoseconds).Round(10 * time.Microsecond).String()
}

// median is the middle of the values that f finds in a list.
func median[T any](list []T, f func(T) float64) float64 {
	values := make([]float64, len(list))
	for i, x := range list {
		values[i] = f(x)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}
