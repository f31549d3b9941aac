package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/compare"
	"github.com/ibuki-dev/ibuki/groonga"
)

// alone has one of the servers carry out a command, past the log.
func (r *logRig) alone(i int, line string) {
	r.t.Helper()
	line, records, _ := strings.Cut(line, "\n")
	c, err := groonga.ParseLine(line)
	if err != nil {
		r.t.Fatal(err)
	}
	c.Body = []byte(records)
	if _, body := r.servers[i].Ask(c, c.Body); !strings.HasPrefix(string(body), "[[0,") {
		r.t.Fatalf("%s: %s", line, body)
	}
}

// writing has clients write to a few keys until the function that it returns is called.
func (r *logRig) writing() (stop func()) {
	done := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 3 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				_, _ = r.do(i, fmt.Sprintf(`load --table T --values '[{"_key":"hot%d","v":"%d words %d"}]'`, n%7, i, n%100))
				_, _ = r.do(i, fmt.Sprintf(`load --table L --values '[{"v":"%d"}]'`, n%10))
				if n%5 == 0 {
					_, _ = r.do(i, fmt.Sprintf(`delete --table T --key hot%d`, n%7))
				}
			}
		})
	}
	return func() { close(done); clients.Wait() }
}

// While clients write, servers that are equal are never said to differ; one that holds
// another value is filled, and says with table and key why. Nothing else is.
func TestLogAServerThatDiffersIsFilled(t *testing.T) {
	r := newLogRig(t)
	r.pause = 200 * time.Millisecond
	r.startAll()
	defer r.stopAll()
	for _, line := range []string{
		"table_create --name T --flags TABLE_HASH_KEY --key_type ShortText", "column_create --table T --name v --flags COLUMN_SCALAR --type ShortText",
		"table_create --name L --flags TABLE_NO_KEY", "column_create --table L --name v --flags COLUMN_SCALAR --type ShortText",
		"table_create --name Terms --flags TABLE_PAT_KEY --key_type ShortText --default_tokenizer TokenBigram",
		"column_create --table Terms --name t --flags COLUMN_INDEX|WITH_POSITION --type T --source v",
	} {
		r.must(0, line)
	}
	for i := range 40 {
		r.must(i%3, fmt.Sprintf(`load --table T --values '[{"_key":"cold%d","v":"text %d"}]'`, i, i))
	}
	stop := r.writing()
	defer stop()
	for whole := 0; whole < 3; {
		found, err := r.gateway(1).Compare(t.Context(), CompareRequest{Full: true}, func(compare.Progress) {})
		if err != nil || len(found) != 1 || len(found[0].Differences)+len(found[0].Undecided) > 0 {
			t.Fatalf("equal servers: %+v, %v", found, err)
		}
		if found[0].Fault == "" && len(found[0].Servers) == 3 { // else one was late, and not read from
			whole++
		}
	}
	r.alone(1, "load --table T\n[{\"_key\":\"cold7\",\"v\":\"another\"}]")
	r.filled(1, 1)
	for server := range 3 {
		if s := r.target(server); s.Filled != server%2 || s.Position.State != "up" {
			t.Errorf("server %d: %+v, %+v", server, s, s.Position)
		}
		if body := r.ask(server, "select --table T --query _key:cold7 --output_columns v"); !strings.Contains(body, `["text 7"]`) {
			t.Errorf("server %d still differs: %s", server, body)
		}
	}
	if why := r.target(1).Why; !strings.Contains(why, `table T, key "cold7", column v`) {
		t.Errorf("it was filled because %s", why)
	}
	r.must(0, `load --table T --values '[{"_key":"more","v":"x"}]'`)
}

// One comparison at a time is done for those who ask, and one that is broken off ends.
func TestLogComparisonsAreAskedForOneAtATime(t *testing.T) {
	r := newLogRig(t)
	r.startAll()
	defer r.stopAll()
	r.must(0, "table_create --name T --flags TABLE_HASH_KEY --key_type ShortText")
	for i := range 20 {
		r.must(i%3, load(fmt.Sprint("a", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	begun, ended := make(chan struct{}), make(chan error)
	go func() {
		once := sync.OnceFunc(func() { close(begun) })
		_, err := r.gateway(0).Compare(ctx, CompareRequest{Rate: 1}, func(compare.Progress) { once() })
		ended <- err
	}()
	<-begun
	if _, err := r.gateway(0).Compare(t.Context(), CompareRequest{}, func(compare.Progress) {}); !errors.Is(err, ErrComparing) {
		t.Errorf("a second one: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("one that was broken off: %v", err)
	}
}
