package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/gateway"
)

var clusterCommand = &command{
	name:     "cluster",
	synopsis: "Shows, changes, compares, fills and backs up the servers that share the log of writes",
	hidden:   true,
	argWords: []string{"status", "add", "remove", "replace", "apply", "drain", "catalog", "compare", "fill", "backup", "restore"},
	help: `
Usage: {prog} cluster status [options]
       {prog} cluster add [options] NODE...
       {prog} cluster remove [options] NODE...
       {prog} cluster replace [options] NODE NEW-NODE
       {prog} cluster apply [options] FILE
       {prog} cluster drain [options] NODE
       {prog} cluster catalog [options]
       {prog} cluster compare [options] [TABLE...]
       {prog} cluster fill [options] NODE
       {prog} cluster backup [options] DIR
       {prog} cluster restore [options] DIR

  The gateways that keep one log of writes (ibuki gateway -log), and the Groonga
  servers that it is applied to.

  status says which gateways there are, who leads, how many may be away before
  writes stop, and how each server stands: whether it is read from, and how far
  it is behind. The exit code is 1 if writes cannot be done, or if a server is not
  as it should be.

  add takes one more replica in, on NODE or spread over several, and the gateways
  on these nodes. The Groonga servers have to be empty. They are filled from complete
  ones while searches and writes go on, and are read from when they have everything.
  remove takes the replicas on nodes out, and their gateways. replace has a new node
  take the place of one that is dead, or is to go. apply compares a catalog file with
  the catalog of the cluster and does what differs: replicas added and removed. All
  gateways take the new catalog over at the same place of the log. The command waits
  until that has come about; broken off, it goes on when it is given again.

  drain takes the servers of NODE, or the one of an address, out of what is read from,
  and waits until no search is under way there: then it can be stopped, upgraded and
  started without anybody noticing. -end puts it back; it is read from again when it
  has everything.

  catalog prints the catalog of the cluster, for the files of the gateways.

  compare compares the servers of each slice now, all tables or these, while
  searches and writes go on, and says what differs: tables and columns, records, and
  what is found through indexes. As in the background, a server that differs from
  most of the others is filled. The exit code is 0 if all are equal.
  It may be broken off at any time.

  fill makes the servers of NODE, or the one of an address, copies of complete ones
  while searches and writes go on. One that is new, was emptied or says itself that it
  cannot be trusted is filled without being asked. The exit code is 1 if it comes to
  nothing.

  backup writes a dump of each slice into DIR, all as they are at one place of the
  log, while searches and writes go on, and a manifest. restore brings that into a
  cluster that has no tables, of whatever number of slices, and checks it first. A
  restore that was broken off begins anew.

Options:

  -gateway=127.0.0.1:10040  HOST:PORT of any gateway of the cluster (its -http). It
                            names the others, which are asked as well.
  -json                     The same for programs.
  -dry-run                  With add, remove, replace, apply, backup and restore: only
                            says what would be done. -n is short for it.
  -no-wait                  With these: does not wait until it has come about.
  -end                      With drain: puts the server back.
  -vote=HOST:PORT           With add and remove: a gateway on a machine without a
                            server, which is a vote. May be given more than once.
  -no-gateway               With add: there is no gateway on the new nodes. The first
                            gateway applies the log to their servers.
  -token-file=FILE          The token that gateways with -token-file want of those who
                            change something. IBUKI_GATEWAY_TOKEN_FILE in the
                            environment sets it too.
  -full                     With compare: also each record that is found for terms
                            that find more than 200; else only how many they are.
  -rate=0                   With compare: how many records a second are read of each
                            server, which then costs searches as little as in the
                            background. 0: as many as can be.
  -discard                  With fill: also a server with data that is not known to be
                            a copy of this cluster's. What it has is removed.
                            With restore: the cluster may have tables. They are
                            removed first.
  -dataset=NAME             With backup and restore: a dataset of the catalog that is
                            not the gateway's default.
`,
	run: runCluster,
}

// clusterParts are the commands of the group, in the order of argWords. Each is in a file
// of its own.
var clusterParts = map[string]func(e *env, args []string) int{
	"status":  runClusterStatus,
	"add":     changeCommand(dispatch.ChangeAdd),
	"remove":  changeCommand(dispatch.ChangeRemove),
	"replace": changeCommand(dispatch.ChangeReplace),
	"apply":   changeCommand(dispatch.ChangeApply),
	"drain":   runClusterDrain,
	"catalog": runClusterCatalog,
	"compare": runClusterCompare,
	"fill":    runClusterFill,
	"backup":  runClusterBackup,
	"restore": runClusterRestore,
}

func runCluster(e *env, args []string) int {
	names := strings.Join(e.cmd.argWords, ", ")
	if len(args) == 0 {
		return e.usage(fmt.Sprintf("Say what to do: %s.", names))
	}
	if run := clusterParts[args[0]]; run != nil {
		return run(e, args[1:])
	}
	if strings.HasPrefix(args[0], "-") && e.flags().Parse(args) != nil {
		return 1
	}
	return e.usage(fmt.Sprintf("There is no %q; there is: %s.", args[0], names))
}

func runClusterCompare(e *env, args []string) int {
	fs := e.flags()
	address := fs.String("gateway", defaultGateway, "")
	full := fs.Bool("full", false, "")
	rate := fs.Int("rate", 0, "")
	asJSON := fs.Bool("json", false, "")
	if fs.Parse(args) != nil {
		return 1
	}
	if *rate < 0 {
		return e.usage("-rate is negative.")
	}
	query := url.Values{"table": fs.Args(), "rate": {strconv.Itoa(*rate)}, "full": {strconv.FormatBool(*full)}}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	progress := e.showProgress("Comparing")
	last, err := askComparison(ctx, *address, query, progress)
	progress.stop()
	switch {
	case ctx.Err() != nil:
		return e.fail("Broken off: the gateway ends the comparison.")
	case err != nil:
		return e.fail("Error comparing: %s", err)
	}
	if *asJSON {
		text, err := json.MarshalIndent(last, "", "  ")
		if err != nil {
			return e.fail("Encoding error: %s", err)
		}
		e.say("%s", text)
	}
	equal := last.Fault == ""
	for i := range last.Slices {
		s := &last.Slices[i]
		equal = equal && comparedEqual(s)
		if !*asJSON {
			e.say("%s", strings.TrimRight(describeComparison(s), "\n"))
		}
	}
	if !*asJSON && last.Fault != "" {
		e.say("Error comparing: %s", last.Fault)
	} else if !*asJSON && len(last.Slices) == 0 {
		e.say("There is one server for each slice: nothing to compare.")
	}
	if !equal {
		return 1
	}
	return 0
}

// maxComparison is how many bytes the last line of a comparison may have.
const maxComparison = 64 << 20

// comparisonSilence is how long the gateway may say nothing: it says something each second.
const comparisonSilence = 30 * time.Second

// askComparison has a gateway compare, and returns the last line of its answer.
func askComparison(ctx context.Context, address string, query url.Values, p *progress) (*gateway.CompareLine, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("-gateway: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(comparisonSilence, func() { cancel(fmt.Errorf("the gateway has said nothing for %v", comparisonSilence)) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+gateway.ComparePath+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), errors.Unwrap(err))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s keeps no log of writes: it was started without -log", address)
	default:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return nil, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxComparison)
	for lines.Scan() {
		silence.Reset(comparisonSilence)
		l := new(gateway.CompareLine)
		if err := json.Unmarshal(lines.Bytes(), l); err != nil {
			return nil, fmt.Errorf("what answers at %s is no gateway: %w", address, err)
		}
		if l.Progress == nil {
			return l, nil
		}
		p.pause()
		p.resume("Comparing %s: %d records, %d terms", l.Progress.Table, l.Progress.Records, l.Progress.Terms)
	}
	if err := errors.Join(context.Cause(ctx), lines.Err()); err != nil {
		return nil, err
	}
	return nil, errors.New("the gateway has broken the comparison off")
}

// comparedEqual reports whether everything was compared and is the same.
func comparedEqual(s *dispatch.SliceComparison) bool {
	return len(s.Differences)+len(s.Undecided) == 0 && s.Fault == ""
}

// describeComparison is what a comparison came to, for people.
func describeComparison(s *dispatch.SliceComparison) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s, %s, %s", s.Slice, counted(len(s.Servers), "server"), counted(s.Tables, "table"),
		counted(int(s.Records), "record"), counted(int(s.Terms), "term"))
	switch n := len(s.Differences); {
	case n > 0 && s.More:
		fmt.Fprintf(&b, ": %s or more\n", counted(n, "difference"))
	case n > 0:
		fmt.Fprintf(&b, ": %s\n", counted(n, "difference"))
	case s.Fault != "":
		fmt.Fprintf(&b, ": not compared to the end: %s\n", s.Fault)
	default:
		b.WriteString(": equal\n")
	}
	for i := range s.Differences {
		d := &s.Differences[i]
		fmt.Fprintf(&b, "  %s\n", d.Where())
		for j, v := range d.Values {
			if v == "" {
				v = "not there"
			}
			if j < len(s.Servers) {
				fmt.Fprintf(&b, "    %s: %s\n", s.Servers[j], v)
			}
		}
	}
	for _, u := range s.Undecided {
		fmt.Fprintf(&b, "  not decided: %s\n", u)
	}
	switch {
	case len(s.Differ) > 0:
		fmt.Fprintf(&b, "  Not read from any more, and to be filled: %s\n", strings.Join(s.Differ, ", "))
	case len(s.Differences) > 0:
		b.WriteString("  Nobody can tell which is right: choose, and have the other filled.\n")
	}
	return b.String()
}
