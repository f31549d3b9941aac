package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/backup"
	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
)

// soleGateway starts a gateway before one real server, for the time of a test.
func soleGateway(t *testing.T) (address string, client *backup.Client) {
	t.Helper()
	server := groongatest.Start(t)
	dir := t.TempDir()
	text, err := catalog.Generate(catalog.Plan{Hosts: []string{server.Addr}, Replicas: 1, Slices: 1})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "catalog.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", groongatest.FreePort(t))
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	e := &env{stdout: &out, stderr: &out}
	f := gatewayFlags{
		catalog: filepath.Join(dir, "catalog.json"), list: filepath.Join(dir, "list"), writeLog: filepath.Join(dir, "log"),
		http: address, peers: listFlag{"none"}, logLevel: "error",
	}
	g, err := f.open(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan int)
	go func() { ended <- g.serve(ctx, e) }()
	client = backup.NewClient(address, "")
	t.Cleanup(func() {
		client.Close()
		cancel()
		<-ended
	})
	return address, client
}

// asked has a cluster do a command.
func asked(t *testing.T, c *backup.Client, line string) string {
	t.Helper()
	command, err := groonga.ParseLine(line)
	if err != nil {
		t.Fatal(err)
	}
	body, err := c.Ask(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// cluster runs a command of the group, and says what it printed.
func cluster(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	code := run(append([]string{"ibuki", "cluster"}, args...), strings.NewReader(""), &out, &out)
	if code != want {
		t.Fatalf("%v ends with %d:\n%s", args, code, out.String())
	}
	return out.String()
}

// A backup is taken and checked, and comes back; a cluster that has something keeps it unless that is said; one that
// has a part of the same backup does not count.
func TestBackupAndRestore(t *testing.T) {
	address, client := soleGateway(t)
	asked(t, client, "table_create T TABLE_HASH_KEY ShortText")
	asked(t, client, "column_create T v COLUMN_SCALAR Int32")
	asked(t, client, `load --table T --values '[{"_key":"a","v":1},{"_key":"b","v":2}]'`)
	dir := filepath.Join(t.TempDir(), "backup")
	at := "-gateway=" + address
	if said := cluster(t, 0, "backup", at, dir); !strings.Contains(said, "2 records of 1 table") {
		t.Error(said)
	}
	if said := cluster(t, 1, "backup", at, dir); !strings.Contains(said, "There is a backup") {
		t.Error(said)
	}
	asked(t, client, "delete T a")
	if said := cluster(t, 1, "restore", at, dir); !strings.Contains(said, "the cluster is not empty, tables: 1.") {
		t.Error(said)
	}
	if said := cluster(t, 0, "restore", at, "-discard", "-dry-run", dir); !strings.Contains(said, "1 table would be removed, and then restored: 2 records") {
		t.Error(said)
	}
	count := func() string { return asked(t, client, "select T --limit 0") }
	if n := count(); !strings.HasPrefix(n, "[[[1]") {
		t.Errorf("what only says what would be done has changed the cluster: %s", n)
	}
	cluster(t, 0, "restore", at, "-discard", dir)
	if n := count(); !strings.HasPrefix(n, "[[[2]") {
		t.Errorf("restored: %s", n)
	}
	// A restore that is broken off leaves its mark, and the next one begins anew; another backup does not.
	other := filepath.Join(t.TempDir(), "other")
	cluster(t, 0, "backup", at, other)
	m, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`"id": "(\w+)"`).FindSubmatch(m)
	asked(t, client, fmt.Sprintf("config_set --key ibuki-restore --value %s", id[1]))
	asked(t, client, "delete T a")
	if said := cluster(t, 1, "restore", at, other); !strings.Contains(said, "a part of another backup") {
		t.Error(said)
	}
	cluster(t, 0, "restore", at, dir)
	if n := count(); !strings.HasPrefix(n, "[[[2]") || asked(t, client, "config_get --key ibuki-restore") != `""` {
		t.Errorf("restored over what was broken off: %s", n)
	}
	// A file that is not what was written is found before anything is changed.
	name := filepath.Join(dir, "slice-000.grn")
	text, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, bytes.Replace(text, []byte(`["b",2]`), []byte(`["b",3]`), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if said := cluster(t, 1, "restore", at, "-discard", dir); !strings.Contains(said, "slice-000.grn is not what was written") {
		t.Error(said)
	}
	if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	if said := cluster(t, 1, "restore", at, "-discard", dir); !strings.Contains(said, "has no manifest.json, which is written last") || !strings.HasPrefix(count(), "[[[2]") {
		t.Error(said)
	}
}
