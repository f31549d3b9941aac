//go:build unix

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/settings"
)

// flagNames are the flags that the agent's help text has; the parity test of
// the interop module finds what is missing there.
func flagNames(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z0-9-]+)`).FindAllStringSubmatch(agentCommand.help, -1) {
		names = append(names, m[1])
	}
	if len(names) < 30 {
		t.Fatalf("only %d flags in the help text: %q", len(names), names)
	}
	return names
}

// Every flag refuses what it cannot use: one line says what, and the exit code is 1.
func TestBadValuesOfEveryFlag(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := testHost(t)
	long := strings.Repeat("x", 1100)
	boolean := func(name string) string { return "-" + name + "=x: it is on or off: -" + name }
	starting := "==> Starting ibuki agent...\n"
	bad := map[string]struct{ value, want string }{
		"node":                {strings.Repeat("n", 4096), "==> node name is longer than"},
		"bind":                {"1:2:3:x", "==> Invalid bind address: "},
		"iface":               {"nosuch0", "==> Invalid network interface: "},
		"advertise":           {"127.0.0.1:x", "==> Invalid advertise address: "},
		"join":                {"a:b:c", "==> Invalid address to join 'a:b:c': "},
		"retry-join":          {"/127.0.0.1", "==> Invalid address to join '/127.0.0.1': empty node name provided"},
		"retry-interval":      {"soon", `==> Error: -retry-interval=soon: a time with its unit`},
		"retry-max":           {"-1", "==> retry limit is negative"},
		"discover":            {long, "==> Invalid mDNS discovery name: "},
		"mdns-iface":          {"nosuch0", "==> mDNS interface specified without enabling mDNS discovery"},
		"mdns-disable-ipv4":   {"x", boolean("mdns-disable-ipv4")},
		"mdns-disable-ipv6":   {"x", boolean("mdns-disable-ipv6")},
		"replay":              {"x", boolean("replay")},
		"snapshot":            {file + "/x", starting + "==> Failed to start the ibuki agent: Failed to setup snapshot: "},
		"rejoin":              {"x", boolean("rejoin")},
		"event-handler":       {"member-joined=x", "==> Invalid event script: "},
		"http":                {"nohost", "==> Invalid HTTP address: "},
		"gateway-status":      {"nohost", "==> Invalid gateway address: "},
		"log-format":          {"xml", "==> Invalid log format: 'xml'"},
		"log-file":            {dir, "==> log file: open "},
		"live-nodes":          {"haproxy:x", "==> Invalid live-node list 'x': format haproxy needs the port"},
		"tag":                 {"x", "==> Error: Invalid tag: 'x'"},
		"tags-file":           {dir, starting + "==> Failed to start the ibuki agent: Failed to read tags file: "},
		"role":                {long, "==> Encoded length of tags exceeds limit of 512 bytes"},
		"rpc-addr":            {"127.0.0.1", "==> Invalid RPC address: "},
		"addr-file":           {file + "/x", starting + "==> Failed to start the ibuki agent: Failed to write address file: "},
		"encrypt":             {"AAAA", "==> Invalid encryption key: "},
		"keyring-file":        {dir, starting + "==> Failed to setup the ibuki agent: Failed to read keyring file: "},
		"cluster-label":       {long, "==> label is longer than 255 bytes"},
		"cluster-name":        {long, "==> Encoded length of tags exceeds limit of 512 bytes"},
		"detect-within":       {"10ms", "==> 'detect_within' is 10ms, which is less than 200ms"},
		"plain":               {"x", boolean("plain")},
		"profile":             {"moon", "==> Unknown profile: moon"},
		"protocol":            {"9", "==> Protocol version '9' not supported: must be in range 2 to 5"},
		"disable-compression": {"x", boolean("disable-compression")},
		"broadcast-timeout":   {"-1s", "==> broadcast timeout is negative"},
		"log-level":           {"loud", "==> Invalid log level: LOUD."},
		"syslog":              {"x", boolean("syslog")},
		"config-file":         {file, "==> Error decoding '" + file + "': "},
		"config-dir":          {dir + "/nosuch", "==> Error reading '" + dir + "/nosuch': "},

		"encrypt-verify-incoming": {"x", boolean("encrypt-verify-incoming")},
		"encrypt-verify-outgoing": {"x", boolean("encrypt-verify-outgoing")},
	}
	anything := map[string]bool{"rpc-auth": true} // has no bad value
	for _, name := range flagNames(t) {
		b, ok := bad[name]
		if !ok {
			if !anything[name] {
				t.Errorf("no bad value of -%s is tested", name)
			}
			continue
		}
		delete(bad, name)
		out, code := runProgram(t, "agent", "-bind="+host, "-rpc-addr="+host+":7373", "-"+name+"="+b.value)
		rest, ok := strings.CutPrefix(out, b.want)
		_, rest, _ = strings.Cut(rest, "\n")
		if code != 1 || !ok || rest != "" {
			t.Errorf("-%s=%.40s: exit code %d, output %.300q", name, b.value, code, out)
		}
	}
	for name := range bad {
		t.Errorf("-%s is not in the help text", name)
	}
}

// What is not Serf's is named on the page about Serf, wherever that is.
func TestCompatibilityPageNamesAll(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/serf-compat.md")
	if err != nil {
		t.Fatal(err)
	}
	_, ours, _ := strings.Cut(string(page), "\n## Only ours\n")
	for _, key := range settings.Keys() {
		if key != "mdns" && !strings.Contains(string(page), "\n| `"+key+"` |") && !strings.Contains(ours, "`"+key+"`") {
			t.Errorf("the key %s is not on the page", key)
		}
	}
	flag := regexp.MustCompile(`(?m)^  -([a-z0-9-]+)`)
	for _, c := range commands {
		if c.synopsis == "" { // for the program itself
			continue
		}
		if !strings.Contains(string(page), "\n| `"+c.name+"` |") { // not Serf's
			if !strings.Contains(ours, "`"+c.name+"`") && !strings.Contains(ours, "`"+c.name+" ") {
				t.Errorf("the command %s is not on the page", c.name)
			}
			continue
		}
		for _, m := range flag.FindAllStringSubmatch(c.help, -1) {
			if !strings.Contains(string(page), "\n| `"+c.name+" -"+m[1]+"` |") && !strings.Contains(ours, "`-"+m[1]+"`") {
				t.Errorf("%s -%s is not on the page", c.name, m[1])
			}
		}
	}
}
