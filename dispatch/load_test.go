package dispatch

import (
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/groonga"
)

// A load into a table that every slice has whole counts each record once.
func TestALoadOfAWholeTableCountsOnce(t *testing.T) {
	answers := []groonga.Answer{{Status: 200, Body: []byte("[[0,1,0.1],5]")}, {Status: 200, Body: []byte("[[0,1,0.1],5]")}}
	c := &groonga.Command{Name: "load"}
	if got := combineWrites(c, []share{{command: c}, {command: c}}, answers); string(got.Body) != "[[0,1,0.1],5]" {
		t.Errorf("%s", got.Body)
	}
	if got := combineWrites(c, []share{{command: c, rows: []int{0, 2}}, {command: c, rows: []int{1}}}, answers); !strings.HasSuffix(string(got.Body), ",10]") {
		t.Errorf("%s", got.Body)
	}
}
