package groonga

import (
	"bytes"
	"errors"
)

// ErrByNumber refuses a write to a record that is addressed by number.
var ErrByNumber = errors.New("a record addressed by number, which its replicas may number differently: address it by its _key")

// ByNumber reports whether a write addresses a record by its number, _id. Replicas that were
// filled at different times, or got a load twice, need not number alike.
func (c *Command) ByNumber() (bool, error) {
	switch c.Name {
	case "delete":
		_, ok := c.Lookup("id")
		return ok, nil
	case "load":
		text := c.Body
		if text == nil {
			text = []byte(c.Get("values"))
		}
		// Most loads need not be taken apart for this.
		if !bytes.Contains(text, []byte("_id")) && !bytes.Contains(text, []byte(`\u`)) && c.Get("columns") == "" {
			return false, nil
		}
		records, err := Records(c)
		if err != nil {
			return false, err
		}
		return records.ByID(), nil
	}
	return false, nil
}
