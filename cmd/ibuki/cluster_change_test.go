package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestFillOrder: what a gateway says of a filling is followed to its end.
func TestFillOrder(t *testing.T) {
	before := `[{"server":"n1:10041","position":{"state":"suspect"},"filled":3,"fault":"of the one before"}]`
	filling := `[{"server":"n1:10041","position":{"state":"filling","filling":{"from":"n2:10041","step":"loading","rows":%d}},"filled":3}]`
	for name, test := range map[string]struct {
		says []string
		want []string
		err  string
	}{
		"filled": {
			[]string{before, fmt.Sprintf(filling, 7), fmt.Sprintf(filling, 7), `[{"server":"n1:10041","position":{"state":"down","why":"it begins"},"filled":4}]`,
				`[{"server":"n1:10041","position":{"state":"up"},"filled":4}]`},
			[]string{"n1:10041: loading, from n2:10041: 7 records", "n1:10041: filled; it begins", "n1:10041: filled; the log is applied to it"}, "",
		},
		"not filled": {
			[]string{before, fmt.Sprintf(filling, 7), `[{"server":"n1:10041","position":{"state":"suspect"},"filled":3,"fault":"no disk"}]`},
			[]string{"n1:10041: loading, from n2:10041: 7 records", "n1:10041: not filled"}, "",
		},
		"refused": {[]string{"!the catalog has no server"}, nil, "the catalog has no server"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if (r.Method == http.MethodPost) != (asked == 0) || r.URL.Query().Get("node") != "n1" {
					t.Errorf("question %d is %s %s", asked, r.Method, r.URL)
				}
				text, refused := strings.CutPrefix(test.says[min(asked, len(test.says)-1)], "!")
				if refused {
					w.WriteHeader(http.StatusConflict)
				}
				asked++
				_, _ = w.Write([]byte(text))
			}))
			defer s.Close()
			var lines []string
			f := fillOrder{
				client: s.Client(), address: s.Listener.Addr().String(), query: url.Values{"node": {"n1"}},
				progress: func(line string) { lines = append(lines, line) },
			}
			list, err := f.run()
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("%v, want %s", err, test.err)
				}
				return
			}
			if err != nil || len(list) != 1 || !slices.Equal(lines, test.want) {
				t.Errorf("%v %v, it says %q", list, err, lines)
			}
		})
	}
}
