package snapshot

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
)

// killedEnv makes the test program a process that keeps a snapshot in the file
// that it names, until it is killed.
const killedEnv = "IBUKI_TEST_KEEP_SNAPSHOT"

func init() {
	if path := os.Getenv(killedEnv); path != "" {
		keepUntilKilled(path)
		os.Exit(1)
	}
}

// keepUntilKilled writes as fast as it can, and says what it has done: what it
// read, each event that it handles, and each member that the file has.
func keepUntilKilled(path string) {
	store, r, err := Open(Disk{}, path, false)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("read", r.Bad, r.Incarnation, r.Event, len(r.Peers))
	own := store.Memory
	s := Start(store, slog.New(slog.DiscardHandler))
	inc, event, peers := own.Incarnation+1, own.Event, own.Peers
	for {
		fmt.Println("lives", inc)
		inc++
		event++
		i := len(peers)
		peers = append(slices.Clone(peers), Peer{Name: fmt.Sprintf("node-%06d", i), Addr: addr4(1)})
		s.Peers(peers)
		s.Times(serf.Restorable{Incarnation: inc, Clock: event, EventMin: event})
		s.Recorded(&serf.Event{Type: serf.EventUser, LTime: event}) // and so are the peers
		fmt.Println("handles", event, len(peers))
		if len(peers) > 2000 {
			peers = peers[:0]
		}
	}
}

// TestP163_KillAtAnyMoment: real processes on a real file, killed.
func TestP163_KillAtAnyMoment(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	path := filepath.Join(t.TempDir(), "s")
	rng := rand.New(rand.NewPCG(8, 8))
	handled := map[uint64]bool{}
	var highest, peers uint64
	for round := range rounds {
		out := killedAfter(t, path, time.Duration(rng.IntN(15_000))*time.Microsecond)
		for i, line := range out {
			words := strings.Fields(line)
			n := make([]uint64, len(words))
			for j := range words {
				n[j], _ = strconv.ParseUint(words[j], 10, 64)
			}
			switch {
			case words[0] == "read" && len(n) == 5:
				if n[1] != 0 || n[2] < highest || n[4] < peers && peers < 1999 {
					t.Fatalf("round %d: %q; incarnation %d was used, %d peers were noted", round, line, highest, peers)
				}
			case words[0] == "lives" && len(n) == 2:
				highest = max(highest, n[1])
			case words[0] == "handles" && len(n) == 3:
				if handled[n[1]] {
					t.Fatalf("round %d: event %d is handled again", round, n[1])
				}
				handled[n[1]], peers = true, n[2]
			case i < len(out)-1:
				t.Fatalf("round %d: %q", round, line)
			}
		}
	}
	t.Logf("%d kills, %d events, incarnation %d", rounds, len(handled), highest)
	if len(handled) < rounds {
		t.Errorf("only %d events", len(handled))
	}
}

// killedAfter runs a process, kills it some time after it has begun, and returns
// the whole lines that it printed.
func killedAfter(t *testing.T, path string, d time.Duration) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedEnv+"="+path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	first := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		<-first
		time.Sleep(d)
		_ = cmd.Process.Kill()
	}()
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadBytes('\n')
		if lines == nil {
			close(first)
			lines = []string{}
		}
		if err != nil {
			break // a line without an end was cut off with its writer
		}
		lines = append(lines, string(bytes.TrimSpace(line)))
	}
	<-killed
	_ = cmd.Wait()
	return lines
}
