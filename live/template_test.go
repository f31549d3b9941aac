package live

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// What a member says of itself cannot end a line, a word or a quoted text of a file that is made of it,
// nor keep others out of it.
func TestTemplatesAndHostileMembers(t *testing.T) {
	const evil = "x\nserver evil 6.6.6.6:1 \"q\\u\" $HOME `id` \r\x1b[2J\u2028\u009b\x00\xff"
	addr := netip.MustParseAddrPort("10.0.0.1:7946")
	v := new(List).Load(time.Unix(1e9, 0), []Entry{
		{Name: evil, Addr: addr, Status: Alive, Tags: []Tag{{"http", evil}, {"k\ney", evil}}},
		{Name: "honest", Addr: addr, Status: Alive, Tags: []Tag{{"http", "8080"}}},
	})
	for text, want := range map[string]string{
		`{{range .Alive}}{{word .Name}} {{.Addr.Addr}}:{{.TagOr "http" "" | port 80}}
{{end}}`: "honest 10.0.0.1:8080\nx_server_evil_6.6.6.6_1__q_u___HOME__id_____2J____ 10.0.0.1:80\n",
		`{{range .Alive}}{{.TagOr "http" "" | quote}}
{{end}}`: "\"8080\"\n" + `"x_server evil 6.6.6.6:1 \"q\\u\" \$HOME \` + "`id\\`" + ` __[2J____"` + "\n",
	} {
		parsed, err := ParseTemplate("t", text)
		if err != nil {
			t.Fatal(err)
		}
		out, err := (&Rendering{Format: FormatTemplate, Template: parsed}).Render(v)
		if err != nil || string(out) != want {
			t.Errorf("%v\n%q\nwant\n%q", err, out, want)
		}
	}
	parsed, err := ParseTemplate("t", `{{range .All}}{{.Name}} {{.Status}} {{.TagOr "nosuch" .Name}}{{range .Tags}} {{.Key}}={{.Value}}{{end}} {{json .Name}}
{{end}}`)
	if err != nil {
		t.Fatal(err)
	}
	out, err := (&Rendering{Format: FormatTemplate, Template: parsed}).Render(v)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != 2 {
		t.Errorf("%d lines: %q", len(lines), out)
	}
	for _, c := range string(out) {
		if c != '\n' && isNoText(c) {
			t.Errorf("%q is in it", c)
		}
	}
	for _, line := range lines {
		var name string
		if err := json.Unmarshal([]byte(line[strings.LastIndex(line, ` "`)+1:]), &name); err != nil && strings.HasPrefix(line, "honest") {
			t.Errorf("%v: %q", err, line)
		}
	}
	for value, want := range map[string]string{"1": "1", "65535": "65535", "0": "80", "65536": "80", "-1": "80", "": "80", "08": "8", "1e3": "80", " 1": "80"} {
		if got := portOr(80, value); got != want {
			t.Errorf("port of %q: %s", value, got)
		}
	}
}
