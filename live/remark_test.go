package live

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// tagged is a live node with tags.
func tagged(name string, tags ...Tag) Entry {
	return Entry{Name: name, Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Status: Alive, Tags: tags}
}

// No live node is left out of a list without a word, in the log, in the file and in numbers.
func TestRemarks(t *testing.T) {
	var list List
	v := list.Load(second(0), []Entry{
		tagged("hex", Tag{"http", "0x1F90"}),
		tagged("large", Tag{"http", "70000"}),
		tagged("line", Tag{"http", "1\n}"}),
		tagged("long", Tag{"http", strings.Repeat("x", 100)}),
		tagged("none"),
		tagged("slash", Tag{"http", "8080/tcp"}),
		tagged("well", Tag{"http", "65535"}, Tag{"a-b", "first"}, Tag{"a.b", "second"}),
		tagged("zero", Tag{"http", "0"}),
		tagged("\xff", Tag{"http", "80"}),
		{Name: "failed", Status: Failed},
	})
	noPort := func(name, value string) string {
		return fmt.Sprintf("%s is left out: its tag \"http\" is %s, which is no port (1 to 65535)", name, value)
	}
	left := []string{
		noPort("hex", `"0x1F90"`), noPort("large", `"70000"`), noPort("line", `"1\n}"`),
		noPort("long", `"`+strings.Repeat("x", 40)+`"...`), `none is left out: it has no tag "http"`,
		noPort("slash", `"8080/tcp"`), noPort("zero", `"0"`),
	}
	for format, want := range map[string][]string{
		FormatHAProxy:   left,
		FormatNginx:     left,
		FormatFileSD:    append(left[:6:6], `well has the tags "a-b" and "a.b", which are both the label tag_a_b: the first counts`, left[6]),
		FormatAllNodes:  {"\xff is left out: its name is no UTF-8"},
		FormatLiveNodes: {"\xff is left out: its name is no UTF-8"},
	} {
		r := Rendering{Format: format, PortTag: "http"}
		var got []string
		for _, remark := range r.Remarks(v) {
			got = append(got, remark.Node+" "+remark.Text)
			if remark.LeftOut != strings.Contains(remark.Text, "left out") {
				t.Errorf("%+v", remark)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", format, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		text, err := r.Render(v)
		if err != nil {
			t.Fatal(err)
		}
		if format == FormatHAProxy || format == FormatNginx {
			for _, line := range left {
				if !strings.Contains(string(text), "    # "+line+"\n") {
					t.Errorf("%s has no comment %q:\n%s", format, line, text)
				}
			}
		}
		if format == FormatFileSD && (!strings.Contains(string(text), `"tag_a_b": "first"`) || strings.Contains(string(text), `"job"`)) {
			t.Errorf("file_sd:\n%s", text)
		}
	}
}

// The comments of a list are bounded.
func TestRemarksInAFileAreBounded(t *testing.T) {
	var entries []Entry
	for i := range 25 {
		entries = append(entries, tagged(fmt.Sprintf("n%02d", i)))
	}
	var list List
	v := list.Load(second(0), entries)
	text, err := (&Rendering{Format: FormatNginx, PortTag: "http"}).Render(v)
	if err != nil || strings.Count(string(text), " is left out: ") != 20 || !strings.Contains(string(text), "    # and 5 more are left out\n") {
		t.Errorf("%v\n%s", err, text)
	}
}
