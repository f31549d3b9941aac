package writelog

import (
	"errors"
	"fmt"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// Op is what an entry of the log does.
type Op uint8

// The entries. Their numbers are in every log on disk.
const (
	OpOpen    Op = 1 // a gateway's process opens its session
	OpWrite   Op = 2 // a write
	OpFloor   Op = 3 // writes of a session below Floor are over
	OpReadSet Op = 4 // a server leaves or enters the read set
	OpCatalog Op = 5 // another catalog takes the place of the one that holds
	OpDrain   Op = 6 // a server is not to be read from, or may be again
)

// The bounds of what an entry may hold.
const (
	// MaxEntry is the size of an encoded entry.
	MaxEntry = 64 << 20
	// MaxRequest is the length of a client's request id.
	MaxRequest = 256
)

// ErrBadEntry is returned for an entry of no known form.
var ErrBadEntry = errors.New("an entry of the log is of no known form")

// WriteID names a write: one of a process of a gateway. A write keeps its name however
// often it is sent, so it is executed once at most.
type WriteID struct {
	Member uint64 // the gateway, by its id in the log
	Boot   uint64 // its process: later ones have greater numbers
	Number uint64 // from 1
}

// Share is the part of a write that the servers of one slice get.
type Share struct {
	Servers []string // their addresses, as the catalog has them
	Command []byte   // opaque to the log
}

// Entry is what the log holds at one index.
type Entry struct {
	Op      Op
	ID      WriteID // of OpOpen without Number
	Floor   uint64  // all writes of the session below it are over: done, or never to be done
	Request string  // the client's own id of the write; "" is none
	Shares  []Share
	Server  string // of OpReadSet and OpDrain
	Out     bool   // it leaves, or is not to be read from
	// Catalog is the index of the catalog by which the shares of a write were made, by which a
	// server leaves or enters, or that a catalog is to replace; 0: there is none in the log. An entry for another one is not carried out.
	Catalog uint64
	Next    *Catalog // of OpCatalog; nil: nobody goes by an earlier catalog any more
}

// pack is the encoding of everything that is stored or sent. Canonical: equal values
// have equal bytes.
var pack = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.Canonical = true
	h.StructToArray = true
	h.WriteExt = true
	h.MaxInitLen = 1 << 12
	return h
}()

func encode(v any) []byte {
	var b []byte
	if err := codec.NewEncoderBytes(&b, pack).Encode(v); err != nil {
		panic(fmt.Sprintf("writelog: %T cannot be encoded: %v", v, err))
	}
	return b
}

func decode(b []byte, v any) error {
	return codec.NewDecoderBytes(b, pack).Decode(v)
}

// Encode renders an entry.
func (e *Entry) Encode() []byte { return encode(e) }

// DecodeEntry reads what Encode wrote. The commands of its shares are copies.
func DecodeEntry(b []byte) (*Entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadEntry, len(b))
	}
	e := new(Entry)
	if err := decode(b, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEntry, err)
	}
	if e.Op < OpOpen || e.Op > OpDrain || len(e.Request) > MaxRequest {
		return nil, fmt.Errorf("%w: operation %d", ErrBadEntry, e.Op)
	}
	return e, nil
}
