package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// devHandlerName is the hidden subcommand that dev's nodes have as event handler.
const (
	devHandlerName  = "dev-handler"
	devHandlerUsage = `Usage: {prog} dev-handler [-answer] FILE

  The event handler of dev's nodes: appends what it is given to a file.`
)

// devRecord is one call of an event handler, as it is written to the node's file.
type devRecord struct {
	At    time.Time         `json:"at"`
	Env   map[string]string `json:"env"` // the SERF_ variables
	Stdin string            `json:"stdin"`
}

// devHandlerMain is an event handler: it appends what it was given to the file
// named by its last argument, as one JSON line in one write. With -answer it
// also answers queries.
func devHandlerMain(e *env, args []string) int {
	answer := len(args) > 0 && args[0] == "-answer"
	if answer {
		args = args[1:]
	}
	if len(args) != 1 {
		return e.usage("One file is needed.")
	}
	rec := devRecord{At: time.Now(), Env: map[string]string{}}
	for _, pair := range os.Environ() {
		if key, value, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(key, "SERF_") {
			rec.Env[key] = value
		}
	}
	stdin, err := io.ReadAll(io.LimitReader(e.stdin, 1<<20))
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return 1
	}
	rec.Stdin = string(stdin)
	if err := devAppend(args[0], rec); err != nil {
		fmt.Fprintln(e.stderr, err)
		return 1
	}
	if answer && rec.Env["SERF_EVENT"] == "query" {
		fmt.Fprintf(e.stdout, "%s heard %s", rec.Env["SERF_SELF_NAME"], strings.TrimSuffix(rec.Stdin, "\n"))
	}
	return 0
}

func devAppend(file string, rec devRecord) error {
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

// devRecords reads what a node's handler saw so far.
func devRecords(file string) ([]devRecord, error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var recs []devRecord
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if !strings.HasSuffix(line, "\n") {
			break // not written to its end yet
		}
		var rec devRecord
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		recs = append(recs, rec)
	}
	return recs, nil
}

// handler writes the node's event handler script and returns its path, which
// needs no quoting unless the directory for temporary files does.
func (c *devCluster) handler(n *devNode) (string, error) {
	path := strings.TrimSuffix(n.record, ".events") + "-handler"
	script := "#!/bin/sh\nexec " + devQuote(c.self) + " " + devHandlerName + " -answer " + devQuote(n.record) + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", err
	}
	return devQuote(path), nil
}

// devQuote quotes a word for the shell where it has to be.
func devQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
