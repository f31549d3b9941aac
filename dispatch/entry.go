package dispatch

import (
	"encoding/binary"
	"errors"

	"github.com/ibuki-dev/ibuki/groonga"
)

// commandVersion begins a command as it is kept in the log.
const commandVersion = 2

var errBadCommand = errors.New("a command in the log is of no known form")

// encodeCommand renders a command for the log: the version, whether it has a body, and its
// dataset, content type and URI, each with its length before it, then the body.
func encodeCommand(c *groonga.Command) []byte {
	uri := c.AppendURI(nil)
	b := make([]byte, 0, len(uri)+len(c.Body)+len(c.Dataset)+len(c.ContentType)+32)
	hasBody := byte(0)
	if c.Body != nil {
		hasBody = 1
	}
	b = append(b, commandVersion, hasBody)
	for _, s := range []string{c.Dataset, c.ContentType, string(uri)} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return append(b, c.Body...)
}

// decodeCommand reads what encodeCommand wrote. The command's body is part of b.
func decodeCommand(b []byte) (*groonga.Command, error) {
	if len(b) < 2 || b[0] != commandVersion {
		return nil, errBadCommand
	}
	hasBody := b[1] == 1
	b = b[2:]
	var texts [3]string
	for i := range texts {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errBadCommand
		}
		texts[i] = string(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	c, err := groonga.ParseURI(texts[2])
	if err != nil {
		return nil, errors.Join(errBadCommand, err)
	}
	c.Dataset, c.ContentType = texts[0], texts[1]
	if hasBody {
		c.Body = b[:len(b):len(b)]
	}
	return c, nil
}
