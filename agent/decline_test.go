package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/rpc"
)

// P227: an agent on which nobody answers a query says so, and the query ends at once: without
// a handler, with one for something else, and when all have ended without an answer. While
// somebody reads the events, he may answer still.
func TestDeclines(t *testing.T) {
	for _, c := range []struct {
		what    string
		handler string // of the agent that is asked
		text    string // what the handler says
		reads   bool   // somebody reads the events
		ends    time.Duration
		answers int
	}{
		{"no handler", "", "", false, time.Second, 0},
		{"one for another query", "query:other=x", "no", false, time.Second, 0},
		{"one that says nothing", "query=x", "", false, time.Second, 0},
		{"one that answers", "query=x", "yes", false, time.Second, 1},
		{"a reader", "", "", true, 30 * time.Second, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transporttest.NewMemNet()
				a := memNode(t, net, "a", 1, nil)
				b := memNode(t, net, "b", 2, func(cfg *Config) {
					if c.handler != "" {
						cfg.EventHandlers = []string{c.handler}
					}
				})
				defer a.Stop()
				defer b.Stop()
				b.handlers.Run = func(*handler.Handler, *handler.Job, <-chan struct{}) (handler.Output, error) {
					return handler.Output{Text: []byte(c.text)}, nil
				}
				if _, err := b.Join(t.Context(), []string{"10.0.0.1"}, false); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				if c.reads {
					_, _, cancel := b.Backend().Subscribe(true)
					defer cancel()
				}
				began, done, answers := time.Now(), make(chan time.Duration, 1), 0
				err := a.Backend().Query(rpc.QueryRequest{Name: "q", FilterNodes: []string{"b"}, Timeout: 30 * time.Second}, func(r rpc.QueryRecord) {
					switch r.Type {
					case "response":
						answers++
					case "done":
						done <- time.Since(began)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				took := <-done
				if late := c.ends > time.Second; answers != c.answers || took > c.ends+time.Second || late != (took > time.Second) {
					t.Errorf("%d answers, done after %v", answers, took)
				}
			})
		})
	}
}
