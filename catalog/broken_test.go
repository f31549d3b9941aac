package catalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestBrokenCatalogsAreToldPrecisely reads testdata/broken.txt: each catalog there
// is refused with exactly the messages below it.
func TestBrokenCatalogsAreToldPrecisely(t *testing.T) {
	n := 0
	datadriven.RunTest(t, "testdata/broken.txt", func(t *testing.T, d *datadriven.TestData) string {
		n++
		_, err := Parse([]byte(d.Input))
		if err == nil {
			t.Fatalf("%s: not refused:\n%s", d.Pos, d.Input)
		}
		var invalid *InvalidError
		if !errors.As(err, &invalid) || len(invalid.Faults) == 0 {
			t.Fatalf("%s: %T", d.Pos, err)
		}
		return strings.TrimSpace(err.Error()) + "\n"
	})
	if n < 60 {
		t.Errorf("%d broken catalogs; the corpus has to have at least 60", n)
	}
}
