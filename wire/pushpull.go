package wire

import "net/netip"

var (
	pushPullFields   = []string{"Nodes", "UserStateLen", "Join", "D"}
	pushNodeFields   = []string{"Name", "Addr", "Port", "Meta", "Incarnation", "State", "Vsn", "N", "E"}
	userStreamFields = []string{"UserMsgLen"}
)

// NodeStateUnknown stands for every state that this protocol does not know, and
// for a member whose metadata are too long. A member in it is to be passed over,
// as the peers do.
const NodeStateUnknown NodeState = 255

// PushPull reads a push/pull message: the header at once, then one member
// after another, then the layer's state. It allocates nothing.
type PushPull struct {
	Header PushPullHeader

	r    reader
	left int // members still to be read
}

// ReadPushPull begins to read a push/pull, body being all that follows its type
// byte. It refuses numbers beyond the limits and more members or state than
// body has room for.
func ReadPushPull(body []byte, in Interner) (PushPull, error) {
	p := PushPull{r: reader{b: body, in: in}}
	p.readHeader()
	if p.r.err != nil {
		return PushPull{}, p.r.err
	}
	if p.Header.Nodes+p.Header.UserStateLen > len(body)-p.r.pos {
		return PushPull{}, ErrTruncated
	}
	p.left = p.Header.Nodes
	return p, nil
}

func (p *PushPull) readHeader() {
	var nodes, state int64
	for f := p.r.open(pushPullFields); f.next(); {
		switch f.name {
		case "Nodes":
			nodes = p.r.int()
		case "UserStateLen":
			state = p.r.int()
		case "Join":
			p.Header.Join = p.r.bool()
		case "D":
			p.Header.Digest = p.r.bytes()
		}
	}
	if nodes < 0 || nodes > MaxNodes || state < 0 || state > MaxUserState {
		p.r.fail(ErrLimit)
		return
	}
	p.Header.Nodes, p.Header.UserStateLen = int(nodes), int(state)
}

// Next reads the next member into n; ok is false at the end and on an error,
// which then stays. n's metadata alias the message.
func (p *PushPull) Next(n *PushNodeState) (ok bool, err error) {
	if p.left == 0 || p.r.err != nil {
		return false, p.r.err
	}
	p.left--
	p.r.pushNode(n)
	return p.r.err == nil, p.r.err
}

// UserState returns the layer's state, aliasing the message; nil if there is none.
// Members not read yet are passed over.
func (p *PushPull) UserState() ([]byte, error) {
	for p.left > 0 && p.r.err == nil {
		p.left--
		p.r.skip()
	}
	if p.r.err != nil || p.Header.UserStateLen == 0 {
		return nil, p.r.err
	}
	if len(p.r.b)-p.r.pos < p.Header.UserStateLen {
		return nil, ErrTruncated
	}
	end := p.r.pos + p.Header.UserStateLen
	return p.r.b[p.r.pos:end:end], nil
}

// pushNode reads one member. Of a big cluster's state nearly all are in the form that
// usualNode knows, which is read several times as fast.
func (r *reader) pushNode(n *PushNodeState) {
	if from := r.pos; !r.usualNode(n) {
		r.pos, r.err = from, nil
		r.anyNode(n)
	}
	if len(n.Meta) > MetaMax {
		// The peers let such a member in. It must not keep us from all the others.
		n.Meta, n.State = nil, NodeStateUnknown
	}
}

// usualNode reads a member whose keys are just those that the peers write, or
// natives, in their order. It reports false for any other and for one that cannot be
// read: what is wrong with that, anyNode says.
func (r *reader) usualNode(n *PushNodeState) bool {
	n.Native, n.Verdict = 0, VerdictNone
	native := r.passes("\x88")
	if !native {
		r.want("\x87")
	}
	r.want("\xa4Addr")
	addr := r.addr()
	r.want("\xabIncarnation")
	n.Incarnation = r.uint32()
	r.want("\xa4Meta")
	n.Meta = r.bytes()
	if native {
		r.want("\xa1N")
		n.Native = r.extra()
	}
	r.want("\xa4Name")
	n.Name = r.str()
	r.want("\xa4Port")
	n.Addr = netip.AddrPortFrom(addr, r.uint16())
	r.want("\xa5State")
	n.State = r.nodeState()
	r.want("\xa3Vsn")
	n.Versions = r.versions()
	return r.err == nil
}

// anyNode reads a member in whatever order and form its fields are.
func (r *reader) anyNode(n *PushNodeState) {
	*n = PushNodeState{}
	var addr netip.Addr
	var port uint16
	for f := r.open(pushNodeFields); f.next(); {
		switch f.name {
		case "Name":
			n.Name = r.str()
		case "Addr":
			addr = r.addr()
		case "Port":
			port = r.uint16()
		case "Meta":
			n.Meta = r.bytes()
		case "Incarnation":
			n.Incarnation = r.uint32()
		case "State":
			n.State = r.nodeState()
		case "Vsn":
			n.Versions = r.versions()
		case "N":
			n.Native = r.extra()
		case "E":
			n.Verdict = r.verdict()
		}
	}
	n.Addr = netip.AddrPortFrom(addr, port)
}

func (r *reader) nodeState() NodeState {
	v := r.int()
	if v < 0 || v > int64(StateLeft) {
		return NodeStateUnknown
	}
	return NodeState(v)
}

// AppendPushPullHeader appends the beginning of a push/pull with its type byte.
func AppendPushPullHeader(dst []byte, h PushPullHeader) []byte {
	n := 3
	if len(h.Digest) > 0 {
		n++
	}
	dst = appendMap(append(dst, byte(TypePushPull)), n)
	if len(h.Digest) > 0 {
		dst = appendRaw(appendStr(dst, "D"), h.Digest)
	}
	dst = appendBool(appendStr(dst, "Join"), h.Join)
	dst = appendInt(appendStr(dst, "Nodes"), int64(h.Nodes))
	return appendInt(appendStr(dst, "UserStateLen"), int64(h.UserStateLen))
}

// AppendPushNodeState appends one member, to follow the header or another one.
func AppendPushNodeState(dst []byte, n *PushNodeState) []byte {
	dst = appendMap(dst, 7+extra(n.Native)+extra(n.Verdict))
	dst = appendAddr(appendStr(dst, "Addr"), n.Addr.Addr())
	dst = appendExtra(dst, "E", uint8(n.Verdict))
	dst = appendUint(appendStr(dst, "Incarnation"), uint64(n.Incarnation))
	dst = appendRaw(appendStr(dst, "Meta"), n.Meta)
	dst = appendExtra(dst, "N", n.Native)
	dst = appendStr(appendStr(dst, "Name"), n.Name)
	dst = appendUint(appendStr(dst, "Port"), uint64(n.Addr.Port()))
	dst = appendInt(appendStr(dst, "State"), int64(n.State))
	return appendVersions(appendStr(dst, "Vsn"), n.Versions)
}

// AppendUserStream appends a user message in the form that it has on a stream:
// there, but not in a packet, its length precedes it.
func AppendUserStream(dst, msg []byte) []byte {
	dst = append(dst, byte(TypeUser), 0x81)
	dst = appendInt(appendStr(dst, "UserMsgLen"), int64(len(msg)))
	return append(dst, msg...)
}

// ReadUserStream is the inverse of AppendUserStream, for what follows the type
// byte. The result aliases body; it is nil for an empty message.
func ReadUserStream(body []byte) ([]byte, error) {
	r := reader{b: body}
	n := r.userStreamLen()
	if r.err != nil || n == 0 {
		return nil, r.err
	}
	msg := r.take(n)
	return msg, r.err
}

func (r *reader) userStreamLen() int {
	var n int64
	for f := r.open(userStreamFields); f.next(); {
		n = r.int()
	}
	if n < 0 || n > MaxUserMessage {
		r.fail(ErrLimit)
		return 0
	}
	return int(n)
}
