//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	comparedRecords = 50000
	comparedWords   = 5000
	comparedRate    = "1000" // as the default of -compare-rate
)

// compared measures what the comparison of the servers in the background costs searches: turns
// without it, with the records being compared, and with the index.
func (b *bench) compared() error {
	c, err := b.cluster("compared", b.ours, []string{"-compare-rate=0", "-log"}, true)
	defer c.end()
	if err != nil {
		return err
	}
	if err := comparedData(c.front(0)); err != nil {
		return err
	}
	modes := []struct{ name, table string }{{"not compared", ""}, {"records compared", "Bench"}, {"index compared", "Terms"}}
	for _, mode := range modes {
		used, err := b.atRest(c, mode.table)
		if err != nil {
			return fmt.Errorf("%s: %w", mode.name, err)
		}
		fmt.Printf("  %-18s nobody searches: the gateways and servers use %.1f ms of processor time a second\n", mode.name, used)
	}
	rates := make([][]float64, len(modes))
	for round := range b.rounds {
		for i := range modes {
			m := (i + round) % len(modes)
			rate, err := b.searched(c, modes[m].table)
			if err != nil {
				return fmt.Errorf("%s: %w", modes[m].name, err)
			}
			rates[m] = append(rates[m], rate)
		}
	}
	for m, mode := range modes {
		ratios := make([]float64, b.rounds)
		for i := range ratios {
			ratios[i] = rates[m][i] / rates[0][i]
		}
		fmt.Printf("  %-18s %7.0f searches a second, %.3f times as many as without\n", mode.name, middle(rates[m]), middle(ratios))
	}
	return nil
}

// comparedData makes and loads what is searched.
func comparedData(front string) error {
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for _, uri := range []string{
		"/d/table_create?name=Terms&flags=TABLE_PAT_KEY&key_type=ShortText&default_tokenizer=TokenBigram&normalizer=NormalizerAuto",
		"/d/column_create?table=Terms&name=value&flags=COLUMN_INDEX|WITH_POSITION&type=Bench&source=value",
	} {
		resp, err := client.Get("http://" + front + uri)
		if err != nil {
			return err
		}
		resp.Body.Close()
	}
	for first := 0; first < comparedRecords; first += 1000 {
		var body bytes.Buffer
		for i := first; i < first+1000; i++ {
			fmt.Fprintf(&body, `{"_key":"record%d","value":"`, i)
			for range 10 {
				fmt.Fprintf(&body, "word%d ", rand.IntN(comparedWords))
			}
			body.WriteString("\"},")
		}
		body.Truncate(body.Len() - 1)
		resp, err := client.Post("http://"+front+loadURI, "application/json", strings.NewReader("["+body.String()+"]"))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("load: %s", resp.Status)
		}
	}
	return nil
}

// atRest is how many milliseconds of processor time all processes use a second while nobody
// searches.
func (b *bench) atRest(c *cluster, table string) (float64, error) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	compared := make(chan error, 1)
	if table != "" {
		go func() { compared <- compareTable(ctx, c.front(0), table) }()
	}
	used := func() (sum time.Duration) {
		for _, p := range slices.Concat(c.gateways, c.servers) {
			sum += p.cpu()
		}
		return sum
	}
	time.Sleep(time.Second)
	before := used()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case err := <-compared:
		return 0, err
	case <-time.After(b.still):
	}
	return float64((used() - before).Milliseconds()) / b.still.Seconds(), nil
}

// searched has clients search through all gateways for a turn, while a table is compared.
func (b *bench) searched(c *cluster, table string) (rate float64, err error) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	compared := make(chan error, 1)
	if table != "" {
		go func() { compared <- compareTable(ctx, c.front(0), table) }()
		time.Sleep(200 * time.Millisecond)
	}
	clients := b.counts[len(b.counts)-1]
	done, errs := make([]int, clients), make([]error, clients)
	until := time.Now().Add(b.span)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			client := &fasthttp.HostClient{Addr: c.front(i % len(c.gateways)), MaxConns: 1, ReadTimeout: patience}
			defer client.CloseIdleConnections()
			for time.Now().Before(until) && errs[i] == nil {
				uri := fmt.Sprintf("http://%s/d/select?table=Bench&match_columns=value&query=word%d&limit=10&cache=no", client.Addr, rand.IntN(comparedWords))
				status, _, err := client.Get(nil, uri)
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("a search: %d", status)
				}
				errs[i] = err
				done[i]++
			}
		})
	}
	wg.Wait()
	cancel()
	if table != "" {
		if err := <-compared; !errors.Is(err, context.Canceled) {
			return 0, fmt.Errorf("the comparison ended before the searches: %v", err)
		}
	}
	sum := 0
	for _, n := range done {
		sum += n
	}
	return float64(sum) / b.span.Seconds(), errors.Join(errs...)
}

// compareTable has a gateway compare a table, or what is found through its indexes, over and
// over.
func compareTable(ctx context.Context, front, table string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+front+"/ibuki/compare?rate="+comparedRate+"&table="+table, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		_, err = text.ReadFrom(resp.Body)
		resp.Body.Close()
		switch {
		case err != nil:
			return err
		case strings.Contains(text.String(), "already"): // one that was broken off has not ended yet
			time.Sleep(100 * time.Millisecond)
		case strings.Contains(text.String(), `"differences"`), strings.Contains(text.String(), `"fault"`):
			return fmt.Errorf("%.300s", text.String())
		}
	}
}

func middle(list []float64) float64 { return median(list, func(v float64) float64 { return v }) }
