package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// What is searched: each word is in so many records.
const (
	words = 50
	hits  = 40
)

// result is what a number of clients have seen.
type result struct {
	took   []time.Duration
	failed int
	first  string // the first failure
	span   time.Duration
}

func (r *result) add(o *result) {
	r.took = append(r.took, o.took...)
	r.failed += o.failed
	r.span += o.span
	if r.first == "" {
		r.first = o.first
	}
}

func (r *result) quantile(q float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	slices.Sort(r.took)
	return r.took[min(int(q*float64(len(r.took))), len(r.took)-1)]
}

// rate is answers a second.
func (r *result) rate() float64 { return float64(len(r.took)) / r.span.Seconds() }

func (r *result) String() string {
	text := fmt.Sprintf("%d requests, %.0f/s, median %v, p99 %v, worst %v, failed %d", len(r.took), r.rate(),
		r.quantile(0.5).Round(10*time.Microsecond), r.quantile(0.99).Round(10*time.Microsecond),
		r.quantile(1).Round(100*time.Microsecond), r.failed)
	if r.first != "" {
		text += " (" + r.first + ")"
	}
	return text
}

// search has clients search at full speed until ctx ends, each on a connection of its
// own to one of the addresses.
func search(ctx context.Context, clients int, addrs ...string) *result {
	var mu sync.Mutex
	total := &result{}
	var wg sync.WaitGroup
	start := time.Now()
	for i := range clients {
		wg.Go(func() {
			r := searchOne(ctx, addrs[i%len(addrs)], rand.New(rand.NewPCG(uint64(i), 1)))
			mu.Lock()
			defer mu.Unlock()
			total.add(r)
		})
	}
	wg.Wait()
	total.span = time.Since(start)
	return total
}

func searchOne(ctx context.Context, addr string, random *rand.Rand) *result {
	client := &fasthttp.HostClient{Addr: addr, MaxConns: 1, MaxIdemponentCallAttempts: 1, ReadTimeout: 10 * time.Second}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.Header.SetHost(addr)
	r := &result{}
	for ctx.Err() == nil {
		req.SetRequestURI(fmt.Sprintf("/d/select?table=Items&match_columns=title&query=word%d&offset=%d&limit=5&output_columns=_key,title",
			random.IntN(words), random.IntN(hits)))
		start := time.Now()
		err := client.Do(req, resp)
		r.took = append(r.took, time.Since(start))
		if err == nil && (resp.StatusCode() != 200 || !strings.Contains(string(resp.Body()), fmt.Sprintf("[[[%d],", hits))) {
			err = fmt.Errorf("%d: %.200s", resp.StatusCode(), resp.Body())
		}
		if err != nil {
			r.failed++
			if r.first == "" {
				r.first = err.Error()
			}
		}
	}
	return r
}

// written is what was acknowledged.
type written struct {
	result
	keys []string
}

// write loads records one by one through the addresses in turn, until ctx ends.
func write(ctx context.Context, name string, pause time.Duration, addrs ...string) *written {
	w := &written{}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	client := &fasthttp.Client{MaxIdemponentCallAttempts: 1, ReadTimeout: 10 * time.Second}
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("%s-%d", name, i)
		req.Reset()
		req.SetRequestURI("http://" + addrs[i%len(addrs)] + "/d/load?table=Notes")
		req.Header.SetMethod("POST")
		req.Header.SetContentType("application/json")
		req.SetBodyString(fmt.Sprintf(`[{"_key":"%s","text":"note %d of %s"}]`, key, i, name))
		begun := time.Now()
		err := client.Do(req, resp)
		w.took = append(w.took, time.Since(begun))
		if err == nil && (resp.StatusCode() != 200 || !strings.HasSuffix(string(resp.Body()), ",1]")) {
			err = fmt.Errorf("%d: %.200s", resp.StatusCode(), resp.Body())
		}
		if err == nil {
			w.keys = append(w.keys, key)
		} else {
			w.failed++
			if w.first == "" {
				w.first = err.Error()
			}
		}
		time.Sleep(pause)
	}
	w.span = time.Since(start)
	return w
}
