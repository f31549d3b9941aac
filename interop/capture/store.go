package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/wire"
)

// sample is a record that is kept, with what it holds.
type sample struct {
	record
	scenario
	number int
	parts  []string // described
	types  []string // "packet/ping", "reply/push-pull", …
}

// choose keeps the records that show a type of message, in a form, that the ones
// before them did not show.
func choose(sc scenario, records []*record) ([]sample, error) {
	frame := wire.Frame{Label: sc.label, VerifyIncoming: true, VerifyOutgoing: true}
	if sc.key != nil {
		k, err := wire.NewKey(sc.key)
		if err != nil {
			return nil, err
		}
		frame.Keys = []wire.Key{k}
	}
	seen := map[string]bool{}
	var kept []sample
	for _, r := range records {
		if sc.name == "refused" && r.kind == "stream" {
			continue // ours, and broken on purpose
		}
		s := sample{record: *r, scenario: sc, number: len(kept) + 1}
		if err := s.open(&frame); err != nil {
			return nil, fmt.Errorf("%s %x: %w", r.kind, r.bytes, err)
		}
		isNew := false
		for _, t := range s.types {
			isNew = isNew || !seen[t]
			seen[t] = true
		}
		if isNew {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// open takes the record apart.
func (s *sample) open(frame *wire.Frame) error {
	note := func(msg []byte) {
		text := wire.Describe(msg)
		if s.kind != "packet" && wire.Type(msg[0]) == wire.TypeUser {
			text = "user-stream"
		}
		s.parts = append(s.parts, text)
		s.types = append(s.types, s.kind+"/"+shape(text))
	}
	switch s.kind {
	case "packet":
		msg, err := frame.OpenPacket(nil, s.bytes)
		if err != nil {
			return err
		}
		if t := wire.Type(msg[0]); t == wire.TypeHasCRC || t == wire.TypeCompound || t == wire.TypeCompress {
			s.types = append(s.types, fmt.Sprintf("packet/%d", t))
		}
		var u wire.Unpacker
		return u.Unpack(msg, note)
	case "stream":
		msg, err := frame.ReadStream(bytes.NewReader(s.bytes), nil)
		if err == nil {
			note(msg)
		}
		return err
	default:
		msg, err := frame.ReadReply(bytes.NewReader(s.bytes), nil)
		if err == nil {
			note(msg)
		}
		return err
	}
}

var values = regexp.MustCompile(`=("(\\.|[^"])*"|\[[^\]]*\]|\S+)|-?\d+B?`)

// shape is a description without the values: which message with which fields. Of
// the flags of a push/pull's members only the first one counts.
func shape(text string) string {
	if strings.HasPrefix(text, "push-pull") {
		join := strings.HasPrefix(text, "push-pull join")
		events := !strings.Contains(text, "events=[]")
		return fmt.Sprint("push-pull ", join, events, strings.Contains(text, "left node"), strings.Contains(text, " state "))
	}
	text = strings.ReplaceAll(text, " keys=0", " no-keys")
	return values.ReplaceAllString(text, "")
}

// wanted are the beginnings of descriptions, of a whole message or of one inside
// another, for every type there is.
var wanted = []string{"ping", "indirect-ping", "ack", "nack", "suspect", "alive", "dead", "push-pull", "err", "user-stream",
	"user leave", "user join", "user event", "user query", "user query-ack", "user response", "user relay", "conflict-response",
	"key-request", "key-response"}

func missingTypes(samples []sample) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool {
		return slices.ContainsFunc(samples, func(s sample) bool {
			return slices.ContainsFunc(s.parts, func(p string) bool {
				return p == w || strings.HasPrefix(p, w+" ") || strings.Contains(p, " ["+w+" ")
			})
		})
	})
}

// store writes a file of hexadecimal digits for each sample, and the index.
func store(dir string, samples []sample) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.hex"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	var index strings.Builder
	index.WriteString("# What real nodes (memberlist v0.7.0, serf v0.11.0) sent each other. Written by interop/capture.\n" +
		"# A line: file, form, label, key (\"-\" for none). Below it, indented: the plain messages, in order.\n")
	for _, s := range samples {
		name := fmt.Sprintf("%s-%02d-%s.hex", s.name, s.number, s.kind)
		fmt.Fprintf(&index, "\n%s %s %s %s\n", name, s.kind, dash(s.label), dash(hex.EncodeToString(s.key)))
		for _, p := range s.parts {
			fmt.Fprintf(&index, "\t%s\n", p)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(lines(s.bytes)), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "index.txt"), []byte(index.String()), 0o644)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func lines(b []byte) string {
	var out strings.Builder
	for part := range slices.Chunk(b, 32) {
		out.WriteString(hex.EncodeToString(part))
		out.WriteByte('\n')
	}
	return out.String()
}
