package member

import (
	"errors"
	"fmt"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/ibuki-dev/ibuki/writelog"
)

// version is that of what members send to each other.
const version = 2

// MaxRequest bounds a request in bytes.
const MaxRequest = writelog.MaxEntry + 8<<20

// request is what one gateway asks another.
type request struct {
	Version  int
	From     uint64
	Name     string // of the sender, for a member that does not know the others yet
	Cluster  uint64
	Raft     [][]byte
	Peer     [][]byte
	Writes   [][]byte // entries to propose, whose outcomes are sent back
	Outcomes []*outcome
	Propose  []byte // an entry
	Relay    bool   // the sender cannot reach the leader: pass Propose on
	Hello    *hello
	Join     *join
	Ask      []byte // a question of the gateway's own, beside the log
}

type join struct {
	Member uint64
	Name   string
}

// reply is what the other one says.
type reply struct {
	Version int
	Hello   *hello
	Joined  bool
	Answers []writelog.Answer
	Answer  []byte // to Ask
	Code    int    // of faults; 0 is none
	Fault   string // in words
}

var pack = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.WriteExt = true
	h.StructToArray = true
	h.MaxInitLen = 1 << 12
	return h
}()

func encodeRequest(r *request) []byte { r.Version = version; return encode(r) }

func encodeReply(r *reply) []byte { r.Version = version; return encode(r) }

func encode(v any) []byte {
	var b []byte
	if err := codec.NewEncoderBytes(&b, pack).Encode(v); err != nil {
		panic(fmt.Sprintf("member: %T cannot be encoded: %v", v, err))
	}
	return b
}

func decodeRequest(b []byte) (*request, error) {
	r := new(request)
	if err := codec.NewDecoderBytes(b, pack).Decode(r); err != nil {
		return nil, fmt.Errorf("request of a gateway: %w", err)
	}
	if r.Version != version {
		return nil, fmt.Errorf("request of a gateway that speaks version %d of the log; this one speaks %d", r.Version, version)
	}
	return r, nil
}

func decodeReply(b []byte) (*reply, error) {
	r := new(reply)
	if err := codec.NewDecoderBytes(b, pack).Decode(r); err != nil {
		return nil, fmt.Errorf("answer of a gateway: %w", err)
	}
	if r.Version != version {
		return nil, fmt.Errorf("answer of a gateway that speaks version %d of the log; this one speaks %d", r.Version, version)
	}
	return r, nil
}

// faults are those that a gateway tells another by number.
var faults = []error{
	nil, writelog.ErrNotLeader, writelog.ErrDropped, writelog.ErrAnswerGone, writelog.ErrUnconfirmed,
	writelog.ErrBusy, ErrFull, ErrStopped, ErrOtherCluster, writelog.ErrOtherCatalog,
}

func codeOf(err error) int {
	for i, known := range faults {
		if known != nil && errors.Is(err, known) {
			return i
		}
	}
	return 4 // nobody knows
}

func faultOf(code int) error {
	if code < 0 || code >= len(faults) {
		return writelog.ErrUnconfirmed
	}
	return faults[code]
}

func marshal(m *raftpb.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("member: a message of Raft's cannot be encoded: %v", err))
	}
	return b
}
