package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// alike waits until all servers have the same contents.
func (h *hosts) alike() {
	h.t.Helper()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		why := h.unlike()
		if why == "" {
			return
		}
		if time.Since(start) > patience/3 {
			h.t.Errorf("the servers are not equal: %s", why)
			return
		}
	}
}

// unlike says how the contents of the servers differ; "" is not at all.
func (h *hosts) unlike() string {
	first, err := h.contents(0)
	for i := 1; i < nodes && err == nil; i++ {
		var other []string
		if other, err = h.contents(i); err == nil && !slices.Equal(first, other) {
			return fmt.Sprintf("%d and %d lines at 0 and %d; only at 0: %q; only at the other: %q",
				len(first), len(other), i, lacking(other, first), lacking(first, other))
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// lacking are the first lines of from that list does not have.
func lacking(list, from []string) (lines []string) {
	have := make(map[string]bool, len(list))
	for _, line := range list {
		have[line] = true
	}
	for _, line := range from {
		if !have[line] && len(lines) < 5 {
			lines = append(lines, line)
		}
	}
	return lines
}

// checkAll checks what all clients saw, and that every server has what was acknowledged.
func (h *hosts) checkAll(past *history) {
	h.t.Helper()
	text, err := h.contents(0)
	if err != nil {
		h.t.Fatal(err)
	}
	values := h.registers(text)
	reads := 0
	for key := range past.registered {
		if key == everything {
			continue
		}
		past.add(operation{client: 100, key: key, read: true, value: values[key], call: past.now()})
	}
	list := past.all()
	for _, o := range list {
		if o.read {
			reads++
		}
	}
	bad, undecided := violations(list)
	for _, b := range bad {
		h.t.Error("no order explains " + b)
	}
	h.t.Logf("%d operations on %d registers, %d reads of them; %d registers not decided in %v", len(list), len(past.registered), reads, undecided, checkFor)
	h.checkNotes(past, text)
	h.checkColumns(past, text)
	h.t.Logf("%d times a server ended by itself, %d times one was seen to be filled", h.ended, h.filled)
	for _, said := range sortedKeys(past.said) {
		h.t.Logf("%6d %s", past.said[said], said)
	}
}

var record = regexp.MustCompile(`^\["([rw][0-9]+-[0-9]+)","(.*)"\],?$`)

// registers are the values of all registers in a dump.
func (h *hosts) registers(text []string) map[string]string {
	values := make(map[string]string)
	for _, line := range text {
		if m := record.FindStringSubmatch(line); m != nil {
			values[m[1]] = m[2]
		}
	}
	return values
}

// checkNotes checks that each note is there once that was acknowledged, and none that
// was refused.
func (h *hosts) checkNotes(past *history, text []string) {
	h.t.Helper()
	times := make(map[string]int)
	for _, line := range text {
		for name, isNote := range noteOf(line) {
			if isNote {
				times[name]++
			}
		}
	}
	count := 0
	for name, o := range past.notes {
		switch n := times[name]; {
		case n > 1, o == done && n == 0, o == refused && n > 0:
			h.t.Errorf("note %s is there %d times; its client was told %d", name, n, o)
		case o == done:
			count++
		}
	}
	h.t.Logf("%d acknowledged notes, each there once", count)
}

var noteText = regexp.MustCompile(`"(c[0-9]+-[0-9]+)"`)

// noteOf is the note that a line of a dump has.
func noteOf(line string) map[string]bool {
	if m := noteText.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "[") && !record.MatchString(line) {
		return map[string]bool{m[1]: true}
	}
	return nil
}

// checkColumns checks that the columns are there that have to be.
func (h *hosts) checkColumns(past *history, text []string) {
	h.t.Helper()
	there := make(map[string]bool)
	for _, line := range text {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "column_create" {
			there[f[2]] = true
		}
	}
	for name, o := range past.columns {
		removal, tried := past.removed[name]
		switch {
		case o == done && !there[name] && (!tried || removal == refused):
			h.t.Errorf("column %s was made, and is not there", name)
		case there[name] && (o == refused || tried && removal == done):
			h.t.Errorf("column %s is there; its maker was told %d, its remover %d", name, o, removal)
		}
	}
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// compared has a gateway compare the servers, while clients write: they are never said to differ.
// A comparison may be broken off by what was just broken.
func (h *hosts) compared(i int) {
	h.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(_ context.Context, _, addr string) (net.Conn, error) { return h.dial(i, addr) },
	}}
	resp, err := client.Post("http://"+h.frontOf(i)+"/ibuki/compare?full=1", "", nil)
	if err != nil {
		h.t.Errorf("a comparison: %v", err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Errorf("a comparison: %s, %v", resp.Status, err)
	}
	if strings.Contains(string(text), `"differences"`) {
		h.t.Errorf("equal servers are said to differ: %s", text)
	}
	h.t.Logf("compared: %.300s", strings.TrimSpace(string(text[bytes.LastIndexByte(bytes.TrimSpace(text), '\n')+1:])))
}
