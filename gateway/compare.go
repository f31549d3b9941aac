package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/compare"
	"github.com/ibuki-dev/ibuki/dispatch"
)

// ComparePath is where a comparison of the servers is asked for, by POST.
const ComparePath = "/ibuki/compare"

// compareReport is how often a comparison says how far it is: then it is noticed that nobody
// listens any more.
const compareReport = time.Second

// CompareLine is one line of the answer to a comparison, as JSON: how far it is, and as the
// last one what has come of it.
type CompareLine struct {
	Progress *compare.Progress          `json:"progress,omitempty"`
	Slices   []dispatch.SliceComparison `json:"slices,omitempty"`
	Fault    string                     `json:"fault,omitempty"`
}

// compare answers who wants the servers compared. The comparison ends when the client is
// gone.
func (s *Server) compare(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		ctx.Error("a comparison is asked for by POST\n", fasthttp.StatusMethodNotAllowed)
		return
	}
	args := ctx.QueryArgs()
	q := dispatch.CompareRequest{Full: args.GetBool("full")}
	for _, name := range args.PeekMulti("table") {
		q.Tables = append(q.Tables, string(name))
	}
	if text := args.Peek("rate"); len(text) > 0 {
		var err error
		if q.Rate, err = strconv.Atoi(string(text)); err != nil || q.Rate < 0 {
			ctx.Error("rate is no number of records a second\n", fasthttp.StatusBadRequest)
			return
		}
	}
	ctx.SetContentType("application/x-ndjson")
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) { s.compareTo(w, q) })
}

// compareTo compares, and writes what a client gets.
func (s *Server) compareTo(w *bufio.Writer, q dispatch.CompareRequest) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var now compare.Progress
	say := func(l CompareLine) bool {
		text, err := json.Marshal(l)
		if err == nil {
			_, err = w.Write(append(text, '\n'))
		}
		if err == nil {
			err = w.Flush()
		}
		return err == nil
	}
	last := make(chan CompareLine, 1)
	go func() {
		list, err := s.cfg.Compare(ctx, q, func(p compare.Progress) {
			mu.Lock()
			now = p
			mu.Unlock()
		})
		l := CompareLine{Slices: list}
		if err != nil {
			l.Fault = err.Error()
		}
		last <- l
	}()
	tick := time.NewTicker(compareReport)
	defer tick.Stop()
	for {
		select {
		case l := <-last:
			say(l)
			return
		case <-tick.C:
			mu.Lock()
			p := now
			mu.Unlock()
			if !say(CompareLine{Progress: &p}) {
				cancel()
				<-last
				return
			}
		}
	}
}
