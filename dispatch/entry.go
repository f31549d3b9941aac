package dispatch

import (
	"encoding/binary"
	"errors"

	"github.com/ibuki-dev/ibuki/groonga"
)

// entry is a write as it is kept in the buffer.
type entry struct {
	stamp   int64            // when it was put in sequence: orders the writes of several gateways
	id      string           // of the share, for the one who waits here
	command *groonga.Command // its ID names the write that it is a share of; "" if that came from a client here
}

const entryVersion = 1

var errBadEntry = errors.New("a write in the buffer is of no known form")

// encode renders an entry.
func (e *entry) encode() []byte {
	c := e.command
	uri := c.AppendURI(nil)
	b := make([]byte, 0, len(uri)+len(c.Body)+len(e.id)+len(c.Dataset)+len(c.ContentType)+64)
	b = append(b, entryVersion)
	b = binary.AppendUvarint(b, uint64(e.stamp))
	hasBody := byte(0)
	if c.Body != nil {
		hasBody = 1
	}
	b = append(b, hasBody)
	for _, s := range []string{e.id, c.ID, c.Dataset, c.ContentType} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(uri)))
	b = append(b, uri...)
	return append(b, c.Body...)
}

// decodeEntry reads what encode wrote. The command's body is part of b.
func decodeEntry(b []byte) (*entry, error) {
	if len(b) < 2 || b[0] != entryVersion {
		return nil, errBadEntry
	}
	stamp, n := binary.Uvarint(b[1:])
	if n <= 0 || len(b) < 2+n {
		return nil, errBadEntry
	}
	hasBody := b[1+n] == 1
	b = b[2+n:]
	var texts [5]string
	for i := range texts {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errBadEntry
		}
		texts[i] = string(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	c, err := groonga.ParseURI(texts[4])
	if err != nil {
		return nil, errors.Join(errBadEntry, err)
	}
	c.ID, c.Dataset, c.ContentType = texts[1], texts[2], texts[3]
	if hasBody {
		c.Body = b[:len(b):len(b)]
	}
	return &entry{stamp: int64(stamp), id: texts[0], command: c}, nil
}
