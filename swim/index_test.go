package swim

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The index finds whom a map would find, whatever comes and goes.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := index{seed: rapid.Uint64().Draw(t, "seed")}
		var list []*member
		named := map[string]*member{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			name := fmt.Sprint("n", rapid.IntRange(0, 60).Draw(t, "name"))
			e := findIn(&x, list, name)
			if e != named[name] || findIn(&x, list, []byte(name)) != e {
				t.Fatalf("%s: found %v, want %v", name, e, named[name])
			}
			switch {
			case e == nil:
				e = &member{Face: &Face{name: name}}
				named[name] = e
				list = append(list, e)
				x.add(list)
			case rapid.Bool().Draw(t, "remove"):
				delete(named, name)
				list = slices.DeleteFunc(list, func(o *member) bool { return o == e })
				x.fill(list)
			}
			if x.used != len(list) || x.used*4 > len(x.slots)*3 {
				t.Fatalf("%d of %d slots for %d", x.used, len(x.slots), len(list))
			}
		}
	})
}
