package dispatch

import (
	"bytes"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

func FuzzEntry(f *testing.F) {
	e := entry{stamp: 77, id: "x-1", command: &groonga.Command{Name: "load", Dataset: "D", ContentType: "application/json", ID: "y-2", Body: []byte("[]")}}
	f.Add(e.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeEntry(data)
		if err != nil {
			return
		}
		again, err := decodeEntry(e.encode())
		if err != nil || again.stamp != e.stamp || again.id != e.id || again.command.ID != e.command.ID || !bytes.Equal(again.command.Body, e.command.Body) {
			t.Fatalf("%+v became %+v: %v", e, again, err)
		}
	})
}

func TestEntriesSurvive(t *testing.T) {
	for _, c := range []*groonga.Command{
		{Name: "load", Dataset: "D", ContentType: "application/json", ID: "y-2", Body: []byte("[1]"), Args: []groonga.Arg{{Name: "table", Value: "T"}}},
		{Name: "delete", Args: []groonga.Arg{{Name: "table", Value: "T"}, {Name: "key", Value: "a b"}}},
		{Name: "load", Body: []byte{}},
	} {
		e := entry{stamp: time.Now().UnixNano(), id: "z", command: c}
		got, err := decodeEntry(e.encode())
		if err != nil || got.stamp != e.stamp || got.id != "z" || got.command.URI() != c.URI() || got.command.Method() != c.Method() {
			t.Errorf("%+v became %+v: %v", c, got, err)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var l latencies
	if q, n := l.quantiles(0.5); n != 0 || q[0] != 0 {
		t.Errorf("of nothing: %v %d", q, n)
	}
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	q, n := l.quantiles(0.5, 0.99, 1)
	for i, want := range []time.Duration{500, 990, 1000} {
		want *= time.Millisecond
		if q[i] < want || q[i] > want+want/6 {
			t.Errorf("quantile %d: %v, want %v or a little more", i, q[i], want)
		}
	}
	l.age()
	if _, half := l.quantiles(0.5); n != 1000 || half < 400 || half > 600 {
		t.Errorf("%d, then %d", n, half)
	}
}
