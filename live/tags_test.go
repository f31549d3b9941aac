package live

import (
	"fmt"
	"slices"
	"testing"
)

func TestNodesShareTags(t *testing.T) {
	var l List
	role := func(order ...Tag) []Tag { return order }
	a, b, c := Tag{"dc", "east"}, Tag{"role", "web"}, Tag{"role", "db"}
	given := role(b, a)
	l.Publish(t0, []Entry{{Name: "n1", Tags: given}, {Name: "n2", Tags: role(a, b)}, {Name: "n3", Tags: role(a, c)}, {Name: "n4"}})
	v := l.Current()
	tags := func(name string) []Tag { return v.Get(name).Tags }
	if !slices.Equal(tags("n1"), role(a, b)) || &tags("n1")[0] != &tags("n2")[0] {
		t.Errorf("%v and %v are not one", tags("n1"), tags("n2"))
	}
	if !slices.Equal(tags("n3"), role(a, c)) || len(tags("n4")) != 0 {
		t.Errorf("%v, %v", tags("n3"), tags("n4"))
	}
	if !slices.Equal(given, role(b, a)) {
		t.Errorf("what was given is now %v", given)
	}
	// What is shared has a copy of its own: what was given may change.
	given[0].Value = "other"
	if !slices.Equal(tags("n1"), role(a, b)) {
		t.Errorf("a list has become %v", tags("n1"))
	}
	// However many there are, each has its own.
	var many []Entry
	for i := range 100 {
		many = append(many, Entry{Name: fmt.Sprintf("n%02d", i), Tags: []Tag{{"id", fmt.Sprint(i)}}})
	}
	v = l.Publish(t0, many)
	for i := range many {
		if got := tags(many[i].Name); !slices.Equal(got, many[i].Tags) {
			t.Errorf("%s has %v", many[i].Name, got)
		}
	}
}
