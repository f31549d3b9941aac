package droonga

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/ibuki-dev/ibuki/rpc"
)

// Bounds of what is read. Bytes are bounded by Config.MaxMessage.
const (
	maxDepth   = 64
	maxEntries = 10000 // messages in one of the forward protocol's
)

// Faults of what a client sent.
var (
	errForward = errors.New("not of the forward protocol")
	errTooLong = errors.New("message is too long")
)

// handle is the dialect: the new msgpack, maps with text as keys, and written in
// the order of the keys.
var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true}
	h.Canonical = true
	h.RawToString = true
	h.MapType = mapType
	h.SliceType = sliceType
	h.MaxInitLen = 1024
	h.MaxDepth = maxDepth + 4
	return h
}()

// entry is one record with the tag it came under.
type entry struct {
	tag    string
	record any
}

// forwarded is one message of the forward protocol: its entries, and what the
// client wants acknowledged.
type forwarded struct {
	entries []entry
	chunk   string
}

// readForward reads one message of the forward protocol:
//
//	[tag, time, record, option?]                 message
//	[tag, [[time, record], …], option?]          forward
//	[tag, packed entries, option?]               packed forward, gzipped if the option says so
//
// io.EOF means that there was no further one.
func readForward(r *bufio.Reader, most int) (f forwarded, err error) {
	v, err := readValue(r, most)
	if err != nil {
		return f, err
	}
	list, ok := v.([]any)
	if !ok || len(list) < 2 || len(list) > 4 {
		return f, fmt.Errorf("%w: no list of tag and entries", errForward)
	}
	tag, ok := list[0].(string)
	if !ok {
		return f, fmt.Errorf("%w: the tag is no text", errForward)
	}
	at := 2 // where the option is
	if isTime(list[1]) {
		at = 3
	}
	var option map[string]any
	if len(list) > at {
		option, _ = list[at].(map[string]any)
	}
	f.chunk, _ = option["chunk"].(string)
	switch entries := list[1].(type) {
	case []any:
		return f, f.add(tag, entries)
	case string:
		return f, f.unpack(tag, []byte(entries), option, most)
	case []byte:
		return f, f.unpack(tag, entries, option, most)
	}
	if at == 2 || len(list) < 3 {
		return f, fmt.Errorf("%w: neither entries nor a time and a record", errForward)
	}
	f.entries = []entry{{tag, list[2]}}
	return f, nil
}

// isTime reports whether a value is one of the protocol's times: seconds, or an
// extension of its own. droonga-engine also takes none for one.
func isTime(v any) bool {
	switch v.(type) {
	case int64, uint64, float64, codec.RawExt, *codec.RawExt, nil:
		return true
	}
	return false
}

// add takes entries of the form [time, record].
func (f *forwarded) add(tag string, entries []any) error {
	if len(entries) > maxEntries-len(f.entries) {
		return fmt.Errorf("%w: more than %d entries", errTooLong, maxEntries)
	}
	for _, e := range entries {
		pair, ok := e.([]any)
		if !ok || len(pair) < 2 {
			return fmt.Errorf("%w: an entry without time and record", errForward)
		}
		f.entries = append(f.entries, entry{tag, pair[1]})
	}
	return nil
}

// unpack takes entries that are packed one after the other, or as one list.
func (f *forwarded) unpack(tag string, packed []byte, option map[string]any, most int) error {
	var in io.Reader = bytes.NewReader(packed)
	switch compressed := option["compressed"]; compressed {
	case nil, "", "text":
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("%w: %v", errForward, err)
		}
		in = io.LimitReader(z, int64(most))
	default:
		return fmt.Errorf("%w: compressed by %.20v", errForward, compressed)
	}
	r := bufio.NewReader(in)
	for {
		v, err := readValue(r, most)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: packed entries: %v", errForward, err)
		}
		pair, _ := v.([]any)
		if len(pair) > 0 {
			if _, nested := pair[0].([]any); nested {
				if err := f.add(tag, pair); err != nil {
					return err
				}
				continue
			}
		}
		if err := f.add(tag, []any{v}); err != nil {
			return err
		}
	}
}

// readValue reads one msgpack value of at most so many bytes. Nothing is made of a
// length before as much is there.
func readValue(r *bufio.Reader, most int) (any, error) {
	data, err := rpc.ReadValue(r, nil, rpc.Limits{Bytes: most, Elems: most/4 + 16, Depth: maxDepth})
	switch {
	case errors.Is(err, rpc.ErrTooLarge), errors.Is(err, rpc.ErrTooDeep):
		return nil, fmt.Errorf("%w: %v", errTooLong, err)
	case errors.Is(err, rpc.ErrMalformed):
		return nil, fmt.Errorf("%w: %v", errForward, err)
	case err != nil:
		return nil, err
	}
	var v any
	if err := codec.NewDecoderBytes(data, handle).Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: %v", errForward, err)
	}
	return v, nil
}

// pack encodes a value.
func pack(v any) ([]byte, error) {
	var data []byte
	err := codec.NewEncoderBytes(&data, handle).Encode(v)
	return data, err
}
