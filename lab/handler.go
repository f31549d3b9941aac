package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// HandlerCommand is the subcommand that runs Handle, which the cluster's nodes
// have as event handler.
const HandlerCommand = "dev-handler"

// handlerRecord is one call of an event handler, as it is written to the node's file.
type handlerRecord struct {
	At    time.Time         `json:"at"`
	Env   map[string]string `json:"env"` // the SERF_ variables
	Stdin string            `json:"stdin"`
}

// Handle is an event handler: it appends what it was given to the file as one
// JSON line in one write. With answer it also answers queries.
func Handle(in io.Reader, out io.Writer, file string, answer bool) error {
	rec := handlerRecord{At: time.Now(), Env: map[string]string{}}
	for _, pair := range os.Environ() {
		if key, value, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(key, "SERF_") {
			rec.Env[key] = value
		}
	}
	stdin, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return err
	}
	rec.Stdin = string(stdin)
	if err := appendRecord(file, rec); err != nil {
		return err
	}
	if answer && rec.Env["SERF_EVENT"] == "query" {
		fmt.Fprintf(out, "%s heard %s", rec.Env["SERF_SELF_NAME"], strings.TrimSuffix(rec.Stdin, "\n"))
	}
	return nil
}

func appendRecord(file string, rec handlerRecord) error {
	line, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// readRecords reads what a node's handler saw so far.
func readRecords(file string) ([]handlerRecord, error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var recs []handlerRecord
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if !strings.HasSuffix(line, "\n") {
			break // not written to its end yet
		}
		var rec handlerRecord
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		recs = append(recs, rec)
	}
	return recs, nil
}

// handler writes the node's event handler script and returns its path, which
// needs no quoting unless the directory for temporary files does.
func (c *cluster) handler(n *node) (string, error) {
	path := strings.TrimSuffix(n.record, ".events") + "-handler"
	script := "#!/bin/sh\nexec " + quote(c.self) + " " + HandlerCommand + " -answer " + quote(n.record) + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", err
	}
	return quote(path), nil
}

// quote quotes a word for the shell where it has to be.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
