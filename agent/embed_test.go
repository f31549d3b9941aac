package agent

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/rpc"
)

// recordsOf are the records of a query, each as "type from payload".
func recordsOf(t *testing.T, ctx context.Context, a *Agent, q rpc.QueryRequest) []string {
	t.Helper()
	records, err := a.Query(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for r := range records {
		out = append(out, strings.TrimSpace(r.Type+" "+r.From+" "+string(r.Payload)))
	}
	return out
}

// answer has a's stream answer every query with text.
func answer(ctx context.Context, a *Agent, text string) {
	events := a.Subscribe(ctx)
	go func() {
		for e := range events {
			if e.Type == "query" {
				_ = a.Respond(e.ID, []byte(text))
			}
		}
	}()
}

func TestQueriesOfAnEmbedder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		a := memNode(t, net, "a", 1, nil)
		defer a.Stop()
		b := memNode(t, net, "b", 2, func(c *Config) { c.Join = []string{"10.0.0.1"} })
		defer b.Stop()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answer(ctx, a, "one")
		answer(ctx, b, "two")

		got := recordsOf(t, ctx, a, rpc.QueryRequest{Name: "q", RequestAck: true})
		slices.Sort(got)
		want := []string{"ack a", "ack b", "done", "response a one", "response b two"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, err := a.Query(ctx, rpc.QueryRequest{Name: "_serf_keys"}); err == nil {
			t.Error("an internal query could be asked")
		}
		if err := b.Respond(99, nil); err != rpc.ErrInvalidQueryID {
			t.Errorf("an answer to nobody: %v", err)
		}
		cancel()
		if _, err := a.Query(ctx, rpc.QueryRequest{Name: "q"}); err != context.Canceled {
			t.Errorf("a query after the end of its context: %v", err)
		}
	})
}

// A query ends with its context and with its agent, and nobody has to read it.
func TestQueriesOfAnEmbedderEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := memNode(t, transporttest.NewMemNet(), "a", 1, nil)
		events := a.Subscribe(t.Context()) // who could answer, and does not
		if _, err := a.Query(t.Context(), rpc.QueryRequest{Name: "unread"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if got := recordsOf(t, ctx, a, rpc.QueryRequest{Name: "q", Timeout: time.Hour}); len(got) != 0 {
			t.Errorf("got %q before anybody answered", got)
		}
		time.AfterFunc(time.Millisecond, a.Stop)
		if got := recordsOf(t, t.Context(), a, rpc.QueryRequest{Name: "q", Timeout: time.Hour}); len(got) != 0 {
			t.Errorf("got %q of an agent that ended", got)
		}
		<-a.Done()
		for range events { // it is closed
		}
		if _, err := a.Query(t.Context(), rpc.QueryRequest{Name: "q"}); err != ErrStopped {
			t.Errorf("a query to an agent that has ended: %v", err)
		}
	})
}

// The programs of the page on embedding are compiled; the first one is run.
func TestEmbeddingPage(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
	page, err := os.ReadFile("../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no program in docs/embedding.md")
	}
	for i, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"vet", file}
		if i == 0 {
			if body := statements(text); body > 15 {
				t.Errorf("the first program has %d lines in main, not 15", body)
			}
			args = []string{"run", file}
		}
		out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
		if err != nil {
			t.Errorf("go %v: %v\n%s", args[0], err, out)
		}
		if i == 0 && string(out) != "node0 is alive\nhello world\n" {
			t.Errorf("the first program says\n%s", out)
		}
	}
}

// statements counts the lines of a program between "func main() {" and its end.
func statements(text string) int {
	_, body, _ := strings.Cut(text, "func main() {\n")
	body, _, _ = strings.Cut(body, "\n}\n")
	return strings.Count(body, "\n") + 1
}
