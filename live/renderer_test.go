package live

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestRendererIsRendering: whatever happens to a list, the text is that of a Rendering
// that remembers nothing.
func TestRendererIsRendering(t *testing.T) {
	for _, format := range []string{"", FormatAllNodes, FormatClusterState} {
		r := Renderer{Rendering: Rendering{Format: format}}
		random := rand.New(rand.NewPCG(3, 3))
		var l List
		for step := range 500 {
			name := fmt.Sprint("node", random.IntN(60))
			if random.IntN(10) == 0 {
				name += "\xff" // no text
			}
			kind := Kind(random.IntN(int(Reap) + 1))
			v := l.Apply(t0.Add(time.Duration(step)*time.Second), Change{kind, []Entry{{Name: name, Tags: []Tag{{"n", fmt.Sprint(random.IntN(3))}}}}})
			if step%7 == 0 {
				v = v.With(Entry{Name: name, Status: Excluded}, Entry{Name: "nobody", Status: Alive})
			}
			got, err := r.Render(v)
			if err != nil {
				t.Fatal(err)
			}
			want, err := (&Rendering{Format: format}).Render(v)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s, step %d: %v\n%s\nwant\n%s", format, step, err, got, want)
			}
		}
	}
	if _, err := (&Renderer{Rendering: Rendering{Format: "none"}}).Render(&empty); err == nil {
		t.Error("a format that there is not")
	}
}

func TestWith(t *testing.T) {
	v := mixed()
	n := v.NumAlive()
	w := v.With(Entry{Name: "b", Status: Alive}, Entry{Name: "c", Status: Excluded}, Entry{Name: "six", Status: Excluded}, Entry{Name: "nobody", Status: Alive})
	if w.Len() != v.Len() || w.NumAlive() != n-1 || w.Get("c").Status != Excluded || w.Get("b").Status != Alive || w.Get("nobody") != nil {
		t.Errorf("%d nodes, %d alive of %d", w.Len(), w.NumAlive(), n)
	}
	if v.NumAlive() != n || v.Get("c").Status != Alive || w.Get("d") != v.Get("d") {
		t.Error("the view itself changed, or what did not change is not shared")
	}
}
