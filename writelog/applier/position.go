package applier

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The configuration keys in the database. All begin with Prefix.
const (
	// Prefix is what the keys begin with that are ibuki's own: hidden from clients, refused
	// in their commands and never part of a fill.
	Prefix = "ibuki."
	// KeyNonce says which database it is.
	KeyNonce = Prefix + "nonce"
	// KeyFilling says that it is being filled: for which cluster, and which filling.
	KeyFilling = Prefix + "filling"

	keyPosition = Prefix + "position" // what was applied; two keys, .0 and .1, in turn
	keyDurable  = Prefix + "durable"  // what was applied and is on the disk; the same
	keySuspect  = Prefix + "suspect"  // why it has to be filled
	keyThreads  = Prefix + "threads"  // the thread limit before the fence
	keyServer   = Prefix + "server"   // when the server was started that was fenced last
	keyIntent   = Prefix + "intent."  // a number follows

	// KeyDense begins the keys of tables without keys of which no record was ever deleted: the
	// name follows. The next ids in such a table are those after the last.
	KeyDense = Prefix + "dense."
)

// maxMissing are the bytes that Position.Missing may take: a value of Groonga's configuration
// has at most 4,091.
const maxMissing = 3500

// Position is how far a database has come in a log. Groups of tables go in parallel, so that
// it is a prefix and what was applied beyond it.
type Position struct {
	Cluster uint64 `json:"cluster"` // whose log it is
	Epoch   uint64 `json:"epoch"`   // recovery epoch of the cluster
	Index   uint64 `json:"index"`   // all up to it is applied
	Last    uint64 `json:"last"`    // the last entry for this volume not above Index
	Term    uint64 `json:"term"`    // the term of Last
	Seen    uint64 `json:"seen"`    // all up to it is applied except Missing; not below Index
	Missing Runs   `json:"missing,omitempty"`
	// Doubt: of entries that are not applied and not above it, it is not known whether they were done before the
	// host was booted. 0 if there are none.
	Doubt uint64 `json:"doubt,omitempty"`
	Boot  string `json:"boot"`  // boot id of the server's host
	Nonce string `json:"nonce"` // which database it is
}

// Run is a range of indexes, both ends included.
type Run struct{ From, To uint64 }

// Runs are ranges of indexes, ascending and apart from each other.
type Runs []Run

// Covers reports whether an entry is applied.
func (p *Position) Covers(index uint64) bool {
	if index <= p.Index {
		return true
	}
	if index > p.Seen {
		return false
	}
	for _, r := range p.Missing {
		if r.From <= index && index <= r.To {
			return false
		}
	}
	return true
}

// fit has a position claim less than was applied (a lower Seen) if so many entries are missing that it
// has no room for them.
func (p *Position) fit() {
	for n := len(p.Missing); len(p.Missing.text()) > maxMissing; n = len(p.Missing) {
		p.Missing = p.Missing[:n-max(1, n/8)]
		p.Seen = p.Missing[len(p.Missing)-1].To
	}
}

// Encode writes a position as the value of a configuration key. One that has too many runs missing is cut to
// what there is room for.
func (p Position) Encode() string {
	p.fit()
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and strings
	}
	return string(b)
}

var errPosition = errors.New("not a position")

// DecodePosition reads what Encode wrote.
func DecodePosition(s string) (Position, error) {
	var p Position
	if err := json.Unmarshal([]byte(s), &p); err != nil {
		return p, fmt.Errorf("%w: %v", errPosition, err)
	}
	if p.Seen < p.Index || p.Last > p.Index || p.Cluster == 0 {
		return p, fmt.Errorf("%w: %.80q", errPosition, s)
	}
	at := p.Index
	for _, r := range p.Missing {
		if r.From <= at || r.To < r.From || r.To > p.Seen {
			return p, fmt.Errorf("%w: %.80q", errPosition, s)
		}
		at = r.To
	}
	return p, nil
}

// text is the short form: for each run the distance from the last one's end and its length less
// one if that is not 0, in base 36.
func (rs Runs) text() string {
	var b strings.Builder
	at := uint64(0)
	for i, r := range rs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatUint(r.From-at, 36))
		if r.To > r.From {
			b.WriteByte('+')
			b.WriteString(strconv.FormatUint(r.To-r.From, 36))
		}
		at = r.To
	}
	return b.String()
}

// MarshalJSON writes the runs in their short form.
func (rs Runs) MarshalJSON() ([]byte, error) { return json.Marshal(rs.text()) }

// UnmarshalJSON reads the short form.
func (rs *Runs) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*rs = nil
	at := uint64(0)
	for word := range strings.FieldsSeq(s) {
		gap, length, _ := strings.Cut(word, "+")
		d, err := strconv.ParseUint(gap, 36, 63)
		if err != nil {
			return err
		}
		n := uint64(0)
		if length != "" {
			if n, err = strconv.ParseUint(length, 36, 63); err != nil {
				return err
			}
		}
		r := Run{at + d, at + d + n}
		at = r.To
		*rs = append(*rs, r)
	}
	return nil
}

// sealed is a value with its number and a checksum: a server that is killed while it sets a key leaves
// half of one, or nothing.
func sealed(number uint64, value string) string {
	rest := fmt.Sprint(number, " ", value)
	return fmt.Sprintf("%08x %s", crc32.ChecksumIEEE([]byte(rest)), rest)
}

// unseal returns what was sealed; false if it is not whole.
func unseal(s string) (number uint64, value string, ok bool) {
	sum, rest, _ := strings.Cut(s, " ")
	if sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(rest))) {
		return 0, "", false
	}
	word, value, found := strings.Cut(rest, " ")
	number, err := strconv.ParseUint(word, 10, 64)
	return number, value, found && err == nil
}
