package dispatch

import (
	"bytes"
	"testing"

	"github.com/ibuki-dev/ibuki/groonga"
)

func FuzzCommand(f *testing.F) {
	f.Add(encodeCommand(&groonga.Command{Name: "load", Dataset: "D", ContentType: "application/json", Body: []byte("[]")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCommand(data)
		if err != nil {
			return
		}
		again, err := decodeCommand(encodeCommand(c))
		if err != nil || again.Dataset != c.Dataset || again.URI() != c.URI() || !bytes.Equal(again.Body, c.Body) {
			t.Fatalf("%+v became %+v: %v", c, again, err)
		}
	})
}

func TestCommandsSurvive(t *testing.T) {
	for _, c := range []*groonga.Command{
		{Name: "load", Dataset: "D", ContentType: "application/json", Body: []byte("[1]"), Args: []groonga.Arg{{Name: "table", Value: "T"}}},
		{Name: "delete", Args: []groonga.Arg{{Name: "table", Value: "T"}, {Name: "key", Value: "a b"}}},
		{Name: "load", Body: []byte{}},
	} {
		got, err := decodeCommand(encodeCommand(c))
		if err != nil || got.URI() != c.URI() || got.Method() != c.Method() || got.Dataset != c.Dataset || got.ContentType != c.ContentType {
			t.Errorf("%+v became %+v: %v", c, got, err)
		}
	}
}
