package agent

import (
	"maps"
	"testing"
)

func TestTagLayers(t *testing.T) {
	type tags = map[string]string
	l := tagLayers{base: tags{"role": "web", "zone": "1"}}
	want := func(step string, w tags) {
		t.Helper()
		if got := l.all(); !maps.Equal(got, w) {
			t.Errorf("%s: %v, want %v", step, got, w)
		}
	}
	want("at first", tags{"role": "web", "zone": "1"})
	l = l.changed(tags{"role": "db", "extra": "x"}, []string{"zone"})
	want("set and deleted", tags{"role": "db", "extra": "x"})
	l = l.reloaded(l.base)
	want("reloaded as it was", tags{"role": "db", "extra": "x"})
	l = l.reloaded(tags{"role": "mail", "zone": "2", "new": "n"})
	want("reloaded", tags{"role": "db", "extra": "x", "new": "n"})
	l = l.changed(nil, []string{"extra", "new"})
	want("deleted", tags{"role": "db"})
	l = l.reloaded(tags{"extra": "y", "new": "n"})
	want("a key that only run time had is free again, one of the configuration stays deleted", tags{"role": "db", "extra": "y"})
	l = l.changed(tags{"new": "m"}, nil)
	want("set again", tags{"role": "db", "extra": "y", "new": "m"})
	l = l.changed(tags{"both": "1"}, []string{"both"})
	want("set and deleted in one", tags{"role": "db", "extra": "y", "new": "m", "both": "1"})
}
