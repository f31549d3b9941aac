package gateway

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/compare"
	"github.com/ibuki-dev/ibuki/dispatch"
)

// TestComparisonEndsWithItsClient: a comparison says how far it is, and ends when who has
// asked for it is gone.
func TestComparisonEndsWithItsClient(t *testing.T) {
	ended := make(chan struct{})
	url, _ := serve(t, Config{Compare: func(ctx context.Context, q dispatch.CompareRequest, report func(compare.Progress)) ([]dispatch.SliceComparison, error) {
		report(compare.Progress{Table: q.Tables[0]})
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}})
	for query, want := range map[string]int{"?rate=x": http.StatusBadRequest, "?rate=-1": http.StatusBadRequest} {
		resp, err := http.Post("http://"+url+ComparePath+query, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", query, resp.Status)
		}
	}
	resp, err := http.Post("http://"+url+ComparePath+"?table=Items", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, `"table":"Items"`) {
		t.Errorf("%q, %v", line, err)
	}
	resp.Body.Close()
	<-ended
}
