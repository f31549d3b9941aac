package rpc

import (
	"fmt"

	"github.com/ibuki-dev/ibuki/access"
)

// request is one command of a client, as far as the commands see it.
type request struct {
	*serverConn
	command string
	seq     uint64
	body    []byte
}

// decode reads the body. The text of its error goes to the client: the body
// was there as a whole, so the connection is still good.
func (r *request) decode(v any) error {
	if err := decodeValue(r.body, v); err != nil {
		r.s.badRequests.Add(1)
		return fmt.Errorf("decode failed: %w", err)
	}
	return nil
}

// answer replies to the request.
func (r *request) answer(err error, body any) error { return r.reply(r.seq, err, body) }

// serverCommand is how one command is served. The error of serve ends the
// connection; errors of the command go into the reply.
type serverCommand struct {
	verb  access.Verbs // what one has to be allowed; 0: nothing
	body  bool         // the request has one
	serve func(*request) error
	empty func() any // the body of a failed reply; nil: replies have none
}

func (c serverCommand) emptyReply() any {
	if c.empty == nil {
		return nil
	}
	return c.empty()
}

var serverCommands map[string]serverCommand

func init() {
	members := func() any { return &membersResponse{} }
	keys := func() any { return &KeyResponse{} }
	serverCommands = map[string]serverCommand{
		cmdHandshake:       {body: true, serve: serveHandshake},
		cmdAuth:            {body: true, serve: serveAuth},
		cmdEvent:           {verb: access.Event, body: true, serve: serveEvent},
		cmdForceLeave:      {verb: access.Admin, body: true, serve: serveForceLeave},
		cmdJoin:            {verb: access.Admin, body: true, serve: serveJoin, empty: func() any { return &joinResponse{} }},
		cmdMembers:         {verb: access.Read, serve: serveMembers, empty: members},
		cmdMembersFiltered: {verb: access.Read, body: true, serve: serveMembersFiltered, empty: members},
		cmdTags:            {verb: access.Admin, body: true, serve: serveTags},
		cmdStream:          {verb: access.Read, body: true, serve: serveStream},
		cmdMonitor:         {verb: access.Read, body: true, serve: serveMonitor},
		cmdStop:            {body: true, serve: serveStop},
		cmdLeave:           {verb: access.Admin, serve: serveLeave},
		cmdQuery:           {verb: access.Query, body: true, serve: serveQuery},
		cmdRespond:         {verb: access.Query, body: true, serve: serveRespond},
		InstallKey:         {verb: access.Admin, body: true, serve: serveKey, empty: keys},
		UseKey:             {verb: access.Admin, body: true, serve: serveKey, empty: keys},
		RemoveKey:          {verb: access.Admin, body: true, serve: serveKey, empty: keys},
		ListKeys:           {verb: access.Admin, serve: serveListKeys, empty: keys},
		cmdHistory:         {verb: access.Query, body: true, serve: serveHistory, empty: func() any { return &historyResponse{} }},
		cmdCheckup:         {verb: access.Query, serve: serveCheckup, empty: func() any { return &Checkup{} }},
		cmdRestart:         {verb: access.Admin, body: true, serve: serveRestart},
		cmdStats:           {verb: access.Read, serve: serveStats, empty: func() any { return map[string]map[string]string{} }},
		cmdGetCoordinate:   {verb: access.Read, body: true, serve: serveCoordinate, empty: func() any { return &coordinateResponse{} }},
	}
}

func serveHandshake(r *request) error {
	var req handshakeRequest
	err := r.decode(&req)
	switch {
	case err != nil:
	case req.Version != protocolVersion:
		err = ErrUnsupportedVersion
	case r.version != 0:
		err = ErrDuplicateHandshake
	default:
		r.version = req.Version
		r.ready.Store(r.grant.Load().Verbs != 0)
	}
	return r.answer(err, nil)
}

func serveAuth(r *request) error {
	var req authRequest
	err := r.decode(&req)
	switch {
	case err != nil:
	case !r.authenticate(req.AuthKey):
		r.s.cfg.Logger.Warn("agent.ipc: Invalid authentication token", "client", r.name)
		err = ErrInvalidAuthToken
	}
	return r.answer(err, nil)
}

func serveEvent(r *request) error {
	var req eventRequest
	err := r.decode(&req)
	if err == nil {
		err = r.s.backend.UserEvent(req.Name, req.Payload, req.Coalesce)
	}
	return r.answer(err, nil)
}

func serveForceLeave(r *request) error {
	var req forceLeaveRequest
	err := r.decode(&req)
	if err == nil {
		err = r.s.backend.ForceLeave(req.Node, req.Prune)
	}
	return r.answer(err, nil)
}

func serveJoin(r *request) error {
	var req joinRequest
	var resp joinResponse
	err := r.decode(&req)
	if err == nil {
		var n int
		n, err = r.s.backend.Join(r.ctx, req.Existing, req.Replay)
		resp.Num = int32(n)
	}
	return r.answer(err, &resp)
}

func serveMembers(r *request) error {
	return r.answer(nil, &membersResponse{Members: wireMembers(r.s.backend.Members(), nil)})
}

func serveMembersFiltered(r *request) error {
	var req MemberFilter
	resp := membersResponse{Members: []Member{}}
	err := r.decode(&req)
	if err == nil {
		var m *memberMatcher
		if m, err = compileFilter(req); err == nil {
			resp.Members = wireMembers(r.s.backend.Members(), m)
		}
	}
	return r.answer(err, &resp)
}

// wireMembers are the members that match, as they go out: an IPv4 address in
// four bytes, tags as a map even if there are none. m may be nil.
func wireMembers(all []Member, m *memberMatcher) []Member {
	out := make([]Member, 0, len(all))
	for _, mem := range all {
		if m != nil && !m.match(&mem) {
			continue
		}
		if ip4 := mem.Addr.To4(); ip4 != nil {
			mem.Addr = ip4
		}
		if mem.Tags == nil {
			mem.Tags = map[string]string{}
		}
		if m == nil || !m.times {
			mem.Since = 0
		}
		out = append(out, mem)
	}
	return out
}

func serveTags(r *request) error {
	var req tagsRequest
	err := r.decode(&req)
	if err == nil {
		err = r.s.backend.SetTags(req.Tags, req.DeleteTags)
	}
	return r.answer(err, nil)
}

func serveLeave(r *request) error {
	r.s.cfg.Logger.Info("agent.ipc: Graceful leave triggered")
	err := r.s.backend.Leave(r.ctx)
	if err != nil {
		r.s.cfg.Logger.Error("agent.ipc: leave failed", "err", err)
	}
	r.left = true
	return r.answer(err, nil)
}

func serveKey(r *request) error {
	var req keyRequest
	var resp KeyResponse
	err := r.decode(&req)
	if err == nil {
		resp, err = r.s.backend.Key(r.ctx, r.command, req.Key)
	}
	return r.answer(err, &resp)
}

func serveListKeys(r *request) error {
	resp, err := r.s.backend.Key(r.ctx, ListKeys, "")
	return r.answer(err, &resp)
}

func serveStats(r *request) error { return r.answer(nil, r.s.backend.Stats()) }

func serveCoordinate(r *request) error {
	var req coordinateRequest
	var resp coordinateResponse
	err := r.decode(&req)
	if err == nil {
		var coord *Coordinate
		if coord, err = r.s.backend.Coordinate(req.Node); err == nil && coord != nil {
			resp = coordinateResponse{Coord: *coord, Ok: true}
		}
	}
	return r.answer(err, &resp)
}
