package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/terminal"
)

// The pace of what dev does with its Groonga cluster: enough to notice a failure,
// little enough to leave the machine to its owner.
const (
	searchers   = 4
	searchPause = 10 * time.Millisecond
	writePause  = 200 * time.Millisecond
	countPause  = time.Second
	patience    = 500 * time.Millisecond // with one gateway; then the next is asked
	samples     = 300
)

// search is the client of the cluster's gateways: it searches and writes until
// it is stopped, and counts. It asks another gateway when one does not answer, as a
// client of several gateways has to; only if none answers has it failed.
type search struct {
	c      *cluster
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup
	client *http.Client
	asked  atomic.Uint64 // commands, which it names

	mu       sync.Mutex
	bad      []time.Time // until when each gateway is not asked first
	searches int
	writes   int // acknowledged, the samples included
	failed   int
	moved    int // asked another gateway
	slowest  time.Duration
	records  []int // on each server; -1: it does not say
	waiting  []int // entries that each server lacks, as any gateway says
	lastErr  error
}

func newSearch(c *cluster) *search {
	s := &search{c: c, bad: make([]time.Time, len(c.nodes)), records: make([]int, len(c.nodes)), waiting: make([]int, len(c.nodes))}
	for i := range s.records {
		s.records[i] = -1
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: searchers + 2}}
	return s
}

// begin starts it beside the caller.
func (s *search) begin() error {
	s.all.Go(func() {
		if err := s.prepare(); err != nil {
			if s.ctx.Err() == nil {
				s.c.say("", "no searching: %v", err)
			}
			return
		}
		s.c.say("", "%d records are loaded; searching by %d at a time, writing 5 a second", samples, searchers)
		for i := range searchers {
			s.every(searchPause, func() { s.searchOnce(i) })
		}
		s.every(writePause, s.writeOnce)
		s.every(countPause, s.count)
		s.every(2*time.Second, s.report)
	})
	return nil
}

func (s *search) every(pause time.Duration, do func()) {
	s.all.Go(func() {
		for s.ctx.Err() == nil {
			do()
			select {
			case <-s.ctx.Done():
			case <-time.After(pause):
			}
		}
	})
}

func (s *search) stop() {
	s.cancel()
	s.all.Wait()
	s.client.CloseIdleConnections()
}

// prepare waits for the servers and loads the samples.
func (s *search) prepare() error {
	end := time.Now().Add(30 * time.Second)
	var err error
	for time.Now().Before(end) && s.ctx.Err() == nil {
		if err = s.ready(); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	for _, c := range []string{
		"table_create?name=Items&flags=TABLE_HASH_KEY&key_type=ShortText",
		"column_create?table=Items&name=title&type=ShortText",
		"column_create?table=Items&name=number&type=UInt32",
		"table_create?name=Words&flags=TABLE_PAT_KEY&key_type=ShortText&default_tokenizer=TokenBigram&normalizer=NormalizerAuto",
		"column_create?table=Words&name=titles&flags=COLUMN_INDEX|WITH_POSITION&type=Items&source=title",
	} {
		if _, err := s.ask(0, c, nil); err != nil {
			return err
		}
	}
	var rows []map[string]any
	for i := range samples {
		rows = append(rows, sampleRecord(fmt.Sprintf("sample%03d", i), i))
	}
	return s.load(rows)
}

// ready reports why not all servers and gateways answer.
func (s *search) ready() error {
	for _, n := range s.c.nodes {
		for _, u := range []string{"http://" + addrAt(n, groongaPort) + "/d/status", "http://" + addrAt(n, gatewayPort) + "/d/status"} {
			if _, err := s.get(u, "", nil, time.Second); err != nil {
				return err
			}
		}
	}
	return nil
}

var adjectives = []string{"red", "green", "small", "old", "quiet", "heavy", "round"}
var nouns = []string{"bicycle", "teapot", "lantern", "harbour", "orchard", "clock", "bridge", "kite"}

func sampleRecord(key string, i int) map[string]any {
	title := adjectives[i%len(adjectives)] + " " + nouns[i%len(nouns)]
	return map[string]any{"_key": key, "title": title, "number": i}
}

func (s *search) load(rows []map[string]any) error {
	body, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	answer, err := s.ask(0, "load?table=Items", body)
	if err == nil && !bytes.HasSuffix(answer, fmt.Appendf(nil, ",%d]", len(rows))) {
		err = fmt.Errorf("load: %.200s", answer)
	}
	if err == nil {
		s.mu.Lock()
		s.writes += len(rows)
		s.mu.Unlock()
	}
	return err
}

// ask has a command answered by the i-th gateway, or by another if that does not. It has an
// id, so that a write whose answer is late is not done twice.
func (s *search) ask(i int, command string, body []byte) ([]byte, error) {
	began := time.Now()
	id := fmt.Sprintf("%s-%d", s.c.mark, s.asked.Add(1))
	n := len(s.c.nodes)
	var err error
	for try := range 2 * n {
		g := (i + try) % n
		s.mu.Lock()
		skip := try < n && began.Before(s.bad[g])
		s.mu.Unlock()
		if skip {
			continue
		}
		var answer []byte
		if answer, err = s.get("http://"+addrAt(s.c.nodes[g], gatewayPort)+"/d/"+command, id, body, patience); err == nil {
			s.took(time.Since(began))
			return answer, nil
		}
		if s.ctx.Err() != nil {
			return nil, err
		}
		s.mu.Lock()
		s.bad[g] = time.Now().Add(time.Second)
		s.moved++
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.failed++
	s.lastErr = err
	s.mu.Unlock()
	return nil, err
}

func (s *search) took(d time.Duration) {
	s.mu.Lock()
	s.slowest = max(s.slowest, d)
	s.mu.Unlock()
}

// get is one request, with an id if it is given one; an answer that is not a success is an error.
func (s *search) get(u, id string, body []byte, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if id != "" {
		req.Header.Set("X-Ibuki-Request-Id", id)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, text)
	}
	return text, err
}

func (s *search) searchOnce(i int) {
	s.mu.Lock()
	word := nouns[(s.searches+i)%len(nouns)]
	s.mu.Unlock()
	if _, err := s.ask(i, "select?table=Items&match_columns=title&limit=3&query="+url.QueryEscape(word), nil); err == nil {
		s.mu.Lock()
		s.searches++
		s.mu.Unlock()
	}
}

func (s *search) writeOnce() {
	s.mu.Lock()
	i := s.writes
	s.mu.Unlock()
	// Given again under the same key, so that an answer that was lost does no harm.
	_ = s.load([]map[string]any{sampleRecord(fmt.Sprintf("written%06d", i), i)}) // counted
}

// gatewayStatus is what is read of a gateway's /status.
type gatewayStatus struct {
	Cluster struct {
		Volumes []struct {
			Node    string `json:"node"`
			Waiting int    `json:"waiting"`
		} `json:"volumes"`
	} `json:"cluster"`
}

// count asks each server for its records, and each gateway for what waits.
func (s *search) count() {
	n := len(s.c.nodes)
	records, waiting := make([]int, n), make([]int, n)
	var all sync.WaitGroup
	var mu sync.Mutex
	for i, node := range s.c.nodes {
		all.Go(func() { records[i] = s.recordsAt(node) })
		all.Go(func() {
			text, err := s.get("http://"+addrAt(node, gatewayPort)+"/status", "", nil, patience)
			var status gatewayStatus
			if err != nil || json.Unmarshal(text, &status) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, v := range status.Cluster.Volumes {
				for j, o := range s.c.nodes {
					if v.Node == o.place.host {
						waiting[j] = max(waiting[j], v.Waiting)
					}
				}
			}
		})
	}
	all.Wait()
	s.mu.Lock()
	s.records, s.waiting = records, waiting
	s.mu.Unlock()
}

// recordsAt is how many records one server has, -1 if it does not say.
func (s *search) recordsAt(n *node) int {
	text, err := s.get("http://"+addrAt(n, groongaPort)+"/d/select?table=Items&limit=0&output_columns=_id&cache=no", "", nil, patience)
	var doc []json.RawMessage
	var body [][][]json.RawMessage
	if err != nil || json.Unmarshal(text, &doc) != nil || len(doc) < 2 || json.Unmarshal(doc[1], &body) != nil || len(body) == 0 {
		return -1
	}
	count, err := strconv.Atoi(string(body[0][0][0]))
	if err != nil {
		return -1
	}
	return count
}

// numbers are a node's cells in the table.
func (s *search) numbers(i int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := "-"
	if s.records[i] >= 0 {
		records = strconv.Itoa(s.records[i])
	}
	return []string{records, strconv.Itoa(s.waiting[i])}
}

// lines are what was done so far, for the screen, whose table has the rest.
func (s *search) lines(width int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := terminal.Flow(width, fmt.Sprintf("searches %d", s.searches), fmt.Sprintf("writes %d", s.writes), fmt.Sprintf("failed %d", s.failed),
		fmt.Sprintf("asked another gateway %d", s.moved), fmt.Sprintf("slowest %d ms", s.slowest.Milliseconds()))
	if s.lastErr != nil {
		lines = append(lines, terminal.Fit("last failure: "+s.lastErr.Error(), width))
	}
	return lines
}

// line is what was done so far.
func (s *search) line() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []string
	for _, r := range s.records {
		if r < 0 {
			records = append(records, "-")
		} else {
			records = append(records, strconv.Itoa(r))
		}
	}
	text := fmt.Sprintf("searches %d, writes %d, failed %d, asked another gateway %d, slowest %d ms; records %s; waiting %s",
		s.searches, s.writes, s.failed, s.moved, s.slowest.Milliseconds(), strings.Join(records, " "), strings.Trim(fmt.Sprint(s.waiting), "[]"))
	if s.lastErr != nil {
		text += "; last failure: " + s.lastErr.Error()
	}
	return text
}

func (s *search) report() { s.c.news(notice{text: s.line(), view: true}) }

// complete reports whether each server has all records that were acknowledged.
func (s *search) complete() bool {
	s.mu.Lock()
	want := s.writes
	s.mu.Unlock()
	s.count()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r < want {
			return false
		}
	}
	return true
}

var errNoGroonga = errors.New("dev was started without -groonga")

func showCounts(_ context.Context, c *cluster, _ []string) error {
	if c.search == nil {
		return errNoGroonga
	}
	c.search.count()
	c.say("", "%s", c.search.line())
	return nil
}

func awaitComplete(ctx context.Context, c *cluster, args []string) error {
	if c.search == nil {
		return errNoGroonga
	}
	limit := 30.0
	if len(args) > 0 {
		var err error
		if limit, err = strconv.ParseFloat(args[0], 64); err != nil || len(args) > 1 {
			return errUsage
		}
	}
	began := time.Now()
	for end := began.Add(time.Duration(limit * float64(time.Second))); time.Now().Before(end); {
		if c.search.complete() {
			c.say("", "every server has all records after %.1fs: %s", time.Since(began).Seconds(), c.search.line())
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("not every server has all records after %gs: %s", limit, c.search.line())
}
