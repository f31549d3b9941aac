package dispatch

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// killedBuffer in the environment makes the test program the process that is
// killed: it appends numbers until then, and says on its output which ones were
// acknowledged and which delivered.
const killedBuffer = "IBUKI_TEST_KILLED_BUFFER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedBuffer); dir != "" {
		appendUntilKilled(dir, os.Getenv(killedBuffer+"_FROM"))
	}
	os.Exit(m.Run())
}

func appendUntilKilled(dir, from string) {
	fail := func(err error) {
		fmt.Println("error", err)
		os.Exit(1)
	}
	b, err := OpenBuffer(dir, BufferConfig{SegmentBytes: 2048, Sync: SyncInterval})
	if err != nil {
		fail(err)
	}
	for i, _ := strconv.Atoi(from); ; i++ {
		if _, err := b.Append([]byte(fmt.Sprint(i)), "slow", "quick"); err != nil {
			fail(err)
		}
		fmt.Println("kept", i)
		if i%2 == 0 {
			continue
		}
		p, _, err := b.Next("quick")
		if err != nil {
			fail(err)
		}
		fmt.Println("gave", string(p.Data))
		if err := b.Delivered("quick", p.Ticket); err != nil {
			fail(err)
		}
		fmt.Println("took", string(p.Data))
	}
}

// TestBufferSurvivesKill kills a process that uses the buffer, again and again, at
// any moment. What it was told to be kept is there, in order, and once.
func TestBufferSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	kept, took := -1, -1 // the last that are certain
	for round := range 12 {
		next := kept + 1
		if round > 0 {
			next = survivors(t, dir, kept, took)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), killedBuffer+"="+dir, fmt.Sprintf("%s_FROM=%d", killedBuffer, next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			word, rest, _ := strings.Cut(lines.Text(), " ")
			i, err := strconv.Atoi(rest)
			switch {
			case word == "error":
				t.Fatal(lines.Text())
			case err != nil:
			case word == "kept":
				kept = i
			case word == "took":
				took = i
			}
			if n == 40*round+7 { // at some moment of what it does next
				time.AfterFunc(time.Duration(round*173)*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait() // killed
		if t.Failed() {
			return
		}
	}
	survivors(t, dir, kept, took)
}

// survivors checks what the buffer holds after a kill, without a change, and
// returns the number to go on with.
func survivors(t *testing.T, dir string, kept, took int) (next int) {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	b := openTestBuffer(t, copied, BufferConfig{})
	defer b.Close()
	all := drain(t, b, "slow")
	for i, text := range all {
		if text != fmt.Sprint(i) {
			t.Fatalf("slow: write %d is %s", i, text)
		}
	}
	if len(all)-1 < kept || len(all)-1 > kept+1 {
		t.Fatalf("slow: %d writes, %d were acknowledged", len(all), kept+1)
	}
	rest := drain(t, b, "quick")
	first := len(all) - len(rest)
	if first != took+1 && first != took+2 { // one may be marked and not be heard of
		t.Fatalf("quick: begins at %d, %d was marked", first, took)
	}
	for i, text := range rest {
		if text != fmt.Sprint(first+i) {
			t.Fatalf("quick: write %d is %s", first+i, text)
		}
	}
	return len(all)
}
