package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

// ourNumbers are our names for the real program's constants.
var ourNumbers = map[string]int{
	"pingMsg": int(wire.TypePing), "indirectPingMsg": int(wire.TypeIndirectPing), "ackRespMsg": int(wire.TypeAck),
	"suspectMsg": int(wire.TypeSuspect), "aliveMsg": int(wire.TypeAlive), "deadMsg": int(wire.TypeDead),
	"pushPullMsg": int(wire.TypePushPull), "compoundMsg": int(wire.TypeCompound), "userMsg": int(wire.TypeUser),
	"compressMsg": int(wire.TypeCompress), "encryptMsg": int(wire.TypeEncrypt), "nackRespMsg": int(wire.TypeNack),
	"hasCrcMsg": int(wire.TypeHasCRC), "errMsg": int(wire.TypeErr),

	"messageLeaveType": int(wire.SerfLeave), "messageJoinType": int(wire.SerfJoin), "messagePushPullType": int(wire.SerfPushPull),
	"messageUserEventType": int(wire.SerfUserEvent), "messageQueryType": int(wire.SerfQuery),
	"messageQueryResponseType": int(wire.SerfQueryResponse), "messageConflictResponseType": int(wire.SerfConflictResponse),
	"messageKeyRequestType": int(wire.SerfKeyRequest), "messageKeyResponseType": int(wire.SerfKeyResponse),
	"messageRelayType": int(wire.SerfRelay),

	"filterNodeType": int(wire.FilterNode), "filterTagType": int(wire.FilterTag),
}

// TestParityMessages: every message has its number, in the order of the source.
func TestParityMessages(t *testing.T) {
	t.Parallel()
	tables, src := readPage(t), realSource(t)
	for heading, names := range map[string][]string{ // order-free: tables are independent
		"Gossip messages":      src.enum(src.ml, "net.go", "messageType"),
		"Serf messages":        src.enum(src.serf, "serf/messages.go", "messageType"),
		"Query filters, flags": src.enum(src.serf, "serf/messages.go", "filterType"),
	} {
		for i, name := range names {
			at := slices.IndexFunc(tables[heading], func(r row) bool { return r.item == name })
			if at < 0 || tables[heading][at].status != does || name == "hasLabelMsg" {
				continue // TestParityPage misses it; a label's number is none of the row's
			}
			if got, ok := ourNumbers[name]; !ok || got != i {
				t.Errorf("%s is %d; ours: %d, %v", name, i, got, ok)
			}
		}
	}
	if wire.TypeLabel != 244 || wire.QueryFlagAck != 1 || wire.QueryFlagNoBroadcast != 2 {
		t.Errorf("label %d, flags %d, %d", wire.TypeLabel, wire.QueryFlagAck, wire.QueryFlagNoBroadcast)
	}
	texts := src.consts("../serf", "*.go", regexp.MustCompile(`.`))
	for _, r := range tables["Internal queries"] {
		if !slices.Contains(texts, r.item) && !slices.Contains(texts, "_serf_"+r.item) && !strings.Contains(sources(t, "../serf"), `"`+r.item+`"`) {
			t.Errorf("serf/ does not know the query %s", r.item)
		}
	}
}

// sources are the Go files of a directory, tests left out, as one text.
func sources(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}

// TestParitySnapshot: our file has every kind of line, and the real agent goes on
// from it without a word about one that it does not know.
func TestParitySnapshot(t *testing.T) {
	t.Parallel()
	need(t, newest)
	c := newCluster(t)
	file := c.file("snapshot")
	a := c.add(ours, "a", "-snapshot="+file)
	b, other := c.add(ours, "b"), c.add(newest, "other")
	a.join(b, other)
	c.sees(c.agents, c.all("alive"))
	if err := a.rpc.UserEvent("e", nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.rpc.GetCoordinate("b"); err != nil {
		t.Fatal(err)
	}
	if _, _, code := command(t, ours, "query", "-rpc-addr="+a.rpcAddr(), "-timeout=200ms", "q"); code != 0 {
		t.Error("query failed")
	}
	if err := b.rpc.Leave(); err != nil {
		t.Fatal(err)
	}
	b.wait()
	c.sees([]*agent{a}, c.all("alive", b, "left"))
	if err := a.rpc.Leave(); err != nil {
		t.Fatal(err)
	}
	a.wait()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readPage(t)["Snapshot lines"] {
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(r.item)).Match(data)
		if found != (r.status == does) {
			t.Errorf("lines %q: %v, and the page says %q:\n%s", r.item, found, r.status, data)
		}
	}
	heir := c.add(newest, "heir", "-snapshot="+file, "-rejoin")
	heir.await("rejoin by our snapshot", func() error {
		members, err := heir.rpc.Members()
		if m, ok := find(members, "other"); err != nil || !ok || m.Status != "alive" {
			return fmt.Errorf("%v, %v", members, err)
		}
		return nil
	})
	text, err := os.ReadFile(heir.log())
	if err != nil || strings.Contains(string(text), "Unrecognized") || strings.Contains(string(text), "Failed to convert") {
		t.Errorf("the real agent stumbles over our snapshot:\n%s\n%s", text, data)
	}
}

// TestParityEnvironment: what a handler gets, and what the commands read.
func TestParityEnvironment(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	file := c.file("environment")
	a := c.add(ours, "a", "-tag=k=v", "-tag=role=web", "-event-handler=env | grep ^SERF_ >> "+file)
	if err := a.rpc.UserEvent("e", nil, false); err != nil {
		t.Fatal(err)
	}
	if out, errOut, code := command(t, ours, "query", "-rpc-addr="+a.rpcAddr(), "-timeout=100ms", "q"); code != 0 {
		t.Errorf("query: %s%s", out, errOut)
	}
	for _, r := range readPage(t)["Environment"] {
		if r.status != does || strings.HasPrefix(r.item, "SERF_RPC") {
			continue
		}
		name := strings.ReplaceAll(r.item, "*", "K")
		a.await("a handler with "+name, func() error {
			data, err := os.ReadFile(file)
			if !regexp.MustCompile(`(?m)^` + name + `=.`).Match(data) {
				return fmt.Errorf("%v: %s", err, data)
			}
			return nil
		})
	}
	locked := &agent{c: c, prog: ours, name: "locked", ip: c.net + "99", flags: []string{"-rpc-auth=word"}}
	t.Cleanup(locked.end)
	locked.begin()
	await(t, "members by SERF_RPC_ADDR and SERF_RPC_AUTH", func() error {
		cmd := exec.CommandContext(t.Context(), ours.path, "members")
		cmd.Env = append(os.Environ(), "SERF_RPC_ADDR="+locked.rpcAddr(), "SERF_RPC_AUTH=word")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "locked ") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
}

// TestParityMetrics: a metric is in our agent's source if the page says so. (What the
// two agents send is compared by TestMetricsHaveSerfsNames.)
func TestParityMetrics(t *testing.T) {
	t.Parallel()
	source := sources(t, "../agent")
	for _, r := range readPage(t)["Metrics"] {
		start, _, _ := strings.Cut(r.item, "*")
		if there := strings.Contains(source, `"`+start); there != (r.status == does) {
			t.Errorf("%s: %v, and the page says %q", r.item, there, r.status)
		}
	}
}
