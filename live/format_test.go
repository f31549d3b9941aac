package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mixed is a view with a node of each status.
func mixed() *View {
	entry := func(name string, n byte, s Status, tags ...Tag) Entry {
		return Entry{Name: name, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 7946), Tags: tags, Status: s, Since: second(int(n))}
	}
	six := entry("six", 6, Alive)
	six.Addr = netip.MustParseAddrPort("[2001:db8::6]:7946")
	var l List
	return l.Load(t0, []Entry{
		entry("10.0.0.1:10031/droonga", 1, Alive, Tag{"role", "service-provider"}, Tag{"type", "engine"},
			Tag{"internal-name", "10.0.0.1:10031.1/droonga"}, Tag{"accept-newer-than", "2026"}),
		entry("b", 2, Failed, Tag{"http-port", "8080"}),
		entry("c", 3, Alive, Tag{"http-port", "8080"}),
		entry("d", 4, Left), entry("e", 5, Excluded), six,
		{Name: "no address", Status: Alive},
		{Name: "evil\n  server x 1.2.3.4:1\xff", Addr: netip.MustParseAddrPort("10.0.0.9:1"), Status: Alive, Tags: []Tag{{"no port", "x"}}},
	})
}

func TestFormats(t *testing.T) {
	template, err := ParseTemplate("t", `{{range .Alive}}{{.Name}}={{.TagOr "http-port" "80"}} {{end}}{{.NumAlive}}/{{.Len}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		r    Rendering
		want string
	}{
		{Rendering{}, `{
  "10.0.0.1:10031/droonga": {"address":"10.0.0.1","port":7946,"role":"service-provider","tags":{"accept-newer-than":"2026","internal-name":"10.0.0.1:10031.1/droonga","role":"service-provider","type":"engine"},"status":"alive","since":"2026-01-02T03:04:06Z"},
  "c": {"address":"10.0.0.3","port":7946,"role":"","tags":{"http-port":"8080"},"status":"alive","since":"2026-01-02T03:04:08Z"},
  "no address": {"address":"","port":0,"role":"","tags":{},"status":"alive"},
  "six": {"address":"2001:db8::6","port":7946,"role":"","tags":{},"status":"alive","since":"2026-01-02T03:04:11Z"}
}
`},
		{Rendering{Format: FormatClusterState}, `{
  "10.0.0.1:10031/droonga": {"type":"engine","role":"service-provider","internal_name":"10.0.0.1:10031.1/droonga","accept_messages_newer_than":"2026","live":true},
  "b": {"type":null,"role":null,"internal_name":null,"accept_messages_newer_than":null,"live":false},
  "c": {"type":null,"role":null,"internal_name":null,"accept_messages_newer_than":null,"live":true},
  "d": {"type":null,"role":null,"internal_name":null,"accept_messages_newer_than":null,"live":false},
  "e": {"type":null,"role":null,"internal_name":null,"accept_messages_newer_than":null,"live":false},
  "no address": {"type":null,"role":null,"internal_name":null,"accept_messages_newer_than":null,"live":true},
  "six": {"type":null,"role":null,"internal_name":null,"accept_messages_newer_than":null,"live":true}
}
`},
		{Rendering{Format: FormatHAProxy, Port: 80, PortTag: "http-port", Name: "search"}, `# Made by ibuki from the list of live nodes; changes are lost.
backend search
    # "check" only connects. With "option httpchk GET /path" in the defaults section it asks for a page.
    # no_address is left out: its address is not known
    server 10.0.0.1_10031_droonga 10.0.0.1:80 check
    server c 10.0.0.3:8080 check
    server evil___server_x_1.2.3.4_1_ 10.0.0.9:80 check
    server six [2001:db8::6]:80 check
`},
		{Rendering{Format: FormatNginx, PortTag: "http-port"}, `# Made by ibuki from the list of live nodes; changes are lost.
upstream ibuki {
    server 10.0.0.3:8080; # c
    # 10.0.0.1_10031_droonga is left out: it has no tag "http-port"
    # evil___server_x_1.2.3.4_1_ is left out: it has no tag "http-port"
    # no_address is left out: its address is not known
    # six is left out: it has no tag "http-port"
}
`},
		{Rendering{Format: FormatNginx, PortTag: "nobody-has-it"}, `# Made by ibuki from the list of live nodes; changes are lost.
upstream ibuki {
    # 10.0.0.1_10031_droonga is left out: it has no tag "nobody-has-it"
    # c is left out: it has no tag "nobody-has-it"
    # evil___server_x_1.2.3.4_1_ is left out: it has no tag "nobody-has-it"
    # no_address is left out: its address is not known
    # six is left out: it has no tag "nobody-has-it"
    server 127.0.0.1:1 down; # no live node can be listed
}
`},
		{Rendering{Format: FormatTemplate, Template: template},
			"10.0.0.1:10031/droonga=80 c=8080 evil_  server x 1.2.3.4:1_=80 no address=80 six=80 5/8"},
	} {
		text, err := test.r.Render(mixed())
		if err != nil || string(text) != test.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", test.r.Format, err, text, test.want)
		}
	}
}

func TestFileSD(t *testing.T) {
	r := Rendering{Format: FormatFileSD, Port: 9100, Name: "nodes"}
	text, err := r.Render(mixed())
	if err != nil {
		t.Fatal(err)
	}
	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	if err := json.Unmarshal(text, &groups); err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, g := range groups {
		targets = append(targets, g.Targets...)
	}
	if got, want := strings.Join(targets, " "), "10.0.0.1:9100 10.0.0.3:9100 10.0.0.9:9100 [2001:db8::6]:9100"; got != want {
		t.Errorf("targets %s, want %s", got, want)
	}
	if got := fmt.Sprint(groups[1].Labels); got != "map[job:nodes node:c tag_http_port:8080]" {
		t.Errorf("labels %s", got)
	}
}

func TestRenderingIsChecked(t *testing.T) {
	for fault, r := range map[string]Rendering{
		"no such format":      {Format: "xml"},
		"needs the port":      {Format: FormatHAProxy},
		"needs a template":    {Format: FormatTemplate},
		"is not a word":       {Name: "a\nb"},
		"the port of the ser": {Format: FormatFileSD, Name: "x"},
	} {
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%+v: %v, want %q", r, err, fault)
		}
		if _, err := r.Render(mixed()); err == nil {
			t.Errorf("%+v was rendered", r)
		}
	}
	if err := (&Rendering{Format: "xml"}).Validate(); !errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
}

// TestParseReadsWhatIsWritten: what Render writes, Parse reads, and it is the same
// when it is written again.
func TestParseReadsWhatIsWritten(t *testing.T) {
	for _, format := range []string{FormatLiveNodes, FormatAllNodes, FormatClusterState} {
		r := Rendering{Format: format}
		first, err := r.Render(mixed())
		if err != nil {
			t.Fatal(err)
		}
		entries, err := Parse(first)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		var l List
		v := l.Load(t0, entries)
		again, err := r.Render(v)
		if err != nil || string(again) != string(first) {
			t.Errorf("%s: %v\n%s\nbecame\n%s", format, err, first, again)
		}
		if l.Load(second(1), entries) != v {
			t.Errorf("%s: the same entries made another view", format)
		}
	}
	text, _ := (&Rendering{Format: FormatAllNodes}).Render(mixed())
	entries, _ := Parse(text)
	var l List
	if got, want := show(l.Load(t0, entries)), "b=failed@2,http-port:8080"; !strings.Contains(got, want) || !strings.Contains(got, "e=excluded@5") {
		t.Errorf("%s has no %s", got, want)
	}
}

// TestNamesFromTheNetworkBreakNoList: names and tags are any bytes, and what is
// written of them can be read.
func TestNamesFromTheNetworkBreakNoList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		entries := []Entry{{Name: "self", Status: Alive}}
		for range rapid.IntRange(0, 5).Draw(t, "nodes") {
			e := Entry{Name: text.Draw(t, "name"), Status: Status(rapid.IntRange(0, 6).Draw(t, "status"))}
			if e.Name == "" {
				continue // no member has it
			}
			for range rapid.IntRange(0, 4).Draw(t, "tags") {
				e.Tags = append(e.Tags, Tag{text.Draw(t, "key"), text.Draw(t, "value")})
			}
			entries = append(entries, e)
		}
		var l List
		v := l.Load(t0, entries)
		for _, format := range []string{FormatLiveNodes, FormatAllNodes, FormatClusterState} {
			out, err := (&Rendering{Format: format}).Render(v)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Parse(out); err != nil {
				t.Fatalf("%s: %v: %q", format, err, out)
			}
		}
	})
}

func TestParseTakesLessThanAll(t *testing.T) {
	entries, err := Parse([]byte(`{"a": {}, "b": null, "c": {"status": "degraded"}, "d": {"live": false, "more": [1, {"x": 2}]},
		"e": {"address": "10.0.0.1", "verdict": "hung"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name+" "+e.Status.String())
	}
	if s := strings.Join(got, ", "); s != "a alive, b alive, c none, d failed, e alive" {
		t.Error(s)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, fault := range map[string]string{
		"":                            "empty",
		" \n":                         "empty",
		"{}":                          "names no node",
		"[]":                          "no JSON object",
		"1":                           "no JSON object",
		"{":                           "cut short",
		`{"a"`:                        "cut short",
		`{"a":`:                       "cut short",
		`{"a":{"address":"10.0`:       "cut short",
		`{"a":{}`:                     "cut short",
		`{"a":{},"a":{}}`:             "duplicate",
		`{"a":{}} {}`:                 "more after the list",
		`{"a":{"address":"host"}}`:    `address "host" is none`,
		`{"a":{"port":65536}}`:        "node \"a\"",
		`{"a":{"tags":{"k":1}}}`:      "node \"a\"",
		`{"":{}}`:                     "cannot be a node's name",
		`{"a":{"since":"yesterday"}}`: "node \"a\"",
		"{\"" + strings.Repeat("n", 2000) + "\":{}}": "cannot be a node's name",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%.50q: %v, want %q", text, err, fault)
		}
	}
}

// FuzzParse: whatever is in a file, reading it ends, within its bounds, and what was
// read can be written and read again.
func FuzzParse(f *testing.F) {
	for _, format := range []string{FormatAllNodes, FormatClusterState} {
		text, err := (&Rendering{Format: format}).Render(mixed())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
	}
	f.Add([]byte(`{"a":{"tags":{"a":"b"}},"a":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		if err != nil {
			return
		}
		if len(entries) == 0 || len(entries) > MaxNodes {
			t.Fatalf("%d nodes", len(entries))
		}
		var l List
		v := l.Load(t0, entries)
		if v.Len() != len(entries) {
			t.Fatalf("%d nodes became %d", len(entries), v.Len())
		}
		out, err := (&Rendering{Format: FormatAllNodes}).Render(v)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse(out); err != nil || len(again) != len(entries) {
			t.Fatalf("%v: %d nodes became %d: %s", err, len(entries), len(again), out)
		}
	})
}

// manyNodes is a list of n nodes with three tags each.
func manyNodes(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{
			Name: fmt.Sprintf("node%05d.example.net", i), Status: Alive, Since: t0,
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7946),
			Tags: []Tag{{"dc", "east"}, {"role", "search"}, {"version", "1.2.3"}},
		}
	}
	return entries
}

func BenchmarkRender10k(b *testing.B) {
	var l List
	v := l.Load(t0, manyNodes(10_000))
	for b.Loop() {
		if _, err := (&Rendering{}).Render(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse10k(b *testing.B) {
	var l List
	text, err := (&Rendering{}).Render(l.Load(t0, manyNodes(10_000)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(text)))
}

var sink *Entry

// BenchmarkLookup is what a message costs that is to be delivered.
func BenchmarkLookup(b *testing.B) {
	var l List
	entries := manyNodes(10_000)
	l.Load(t0, entries)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // somebody publishes all the while
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				l.Apply(t0.Add(time.Duration(i)), Change{Kind: Kind(i % 2 * 2), Entries: entries[:1]})
			}
		}
	}()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			sink = l.Current().Get("node05000.example.net")
		}
	})
	close(stop)
	<-done
}

// What is known of a node that is not well is in the file, and read from it.
func TestVerdictInFiles(t *testing.T) {
	var l List
	v := l.Publish(t0, []Entry{{Name: "a", Status: Alive, Degraded: true, Verdict: "hung"},
		{Name: "b", Status: Failed, Verdict: "crashed"}, {Name: "c", Status: Alive}})
	text, err := (&Rendering{Format: FormatAllNodes}).Render(v)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := Parse(text)
	if err != nil || len(entries) != 3 {
		t.Fatal(entries, err)
	}
	for i, want := range []Entry{{Verdict: "hung", Degraded: true}, {Verdict: "crashed"}, {}} {
		if e := entries[i]; e.Verdict != want.Verdict || e.Degraded != want.Degraded {
			t.Errorf("%s: %q %v", e.Name, e.Verdict, e.Degraded)
		}
	}
}
