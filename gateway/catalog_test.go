package gateway

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/dispatch"
)

// operated notes what it is asked for.
type operated struct{ asked []*dispatch.ChangeRequest }

func (o *operated) Catalog() (*dispatch.LogCatalog, error) {
	return &dispatch.LogCatalog{Entry: 7, Catalog: []byte("{}")}, nil
}

func (o *operated) Change(_ context.Context, q *dispatch.ChangeRequest) (*dispatch.ClusterChange, error) {
	o.asked = append(o.asked, q)
	return &dispatch.ClusterChange{Entry: 8}, nil
}

func (o *operated) Drain(context.Context, string, bool) ([]string, error) { return nil, nil }

// Who may change the cluster over HTTP: whoever has the token, or, where there is none, this machine's programs, but no
// page in a browser of it.
func TestWhoMayChangeTheCluster(t *testing.T) {
	const secret = "a secret of some length"
	guard := new(access.Guard)
	if err := guard.Set([]access.Token{{Name: "t", Secret: secret, Verbs: access.Admin}}, 0); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		guard  *access.Guard
		header map[string]string
		want   int
	}{
		"this machine":           {nil, nil, http.StatusOK},
		"a page on this machine": {nil, map[string]string{"Origin": "http://example.org"}, http.StatusForbidden},
		"no token":               {guard, nil, http.StatusUnauthorized},
		"another token":          {guard, map[string]string{"Authorization": "Bearer another secret of some length"}, http.StatusUnauthorized},
		"the token":              {guard, map[string]string{"Authorization": "Bearer " + secret}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			o := new(operated)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := NewServer(Config{Operator: o, Guard: test.guard, Status: func() any { return nil }})
			ended := make(chan error)
			go func() { ended <- s.Serve(l) }()
			defer func() {
				if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				<-ended
			}()
			ask := func(method, query string) int {
				req, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+CatalogPath+query, strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range test.header { // order-free: a set
					req.Header.Set(name, value)
				}
				req.Close = true
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				return resp.StatusCode
			}
			if got := ask(http.MethodGet, ""); got != http.StatusOK {
				t.Errorf("the catalog: %d", got)
			}
			if got := ask(http.MethodPost, "?do=add&node=n4&node=n5&dry=yes"); got != test.want {
				t.Errorf("a change: %d, want %d", got, test.want)
			}
			if did := len(o.asked) > 0; did != (test.want == http.StatusOK) {
				t.Errorf("asked for %+v", o.asked)
			} else if did && (o.asked[0].Do != dispatch.ChangeAdd || len(o.asked[0].Nodes) != 2 || !o.asked[0].Dry) {
				t.Errorf("asked for %+v", o.asked[0])
			}
			if got := ask(http.MethodPost, "?do=apply"); test.want == http.StatusOK && got != http.StatusBadRequest {
				t.Errorf("a catalog that is none: %d", got)
			}
		})
	}
}
