package rpc

import "context"

// Join makes the agent join by the addresses; it returns how many it joined.
// replay: old user events are delivered.
func (c *Client) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	var resp joinResponse
	err := c.do(ctx, cmdJoin, &joinRequest{Existing: addrs, Replay: replay}, &resp)
	return int(resp.Num), err
}

// Leave makes the agent leave the cluster and end.
func (c *Client) Leave(ctx context.Context) error { return c.do(ctx, cmdLeave, nil, nil) }

// ForceLeave turns a failed node into one that left; with prune, the node
// vanishes from the list.
func (c *Client) ForceLeave(ctx context.Context, node string, prune bool) error {
	return c.do(ctx, cmdForceLeave, &forceLeaveRequest{Node: node, Prune: prune}, nil)
}

// Members returns all members that the agent knows.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var resp membersResponse
	err := c.do(ctx, cmdMembers, nil, &resp)
	return resp.Members, err
}

// MembersFiltered returns the members that match.
func (c *Client) MembersFiltered(ctx context.Context, f MemberFilter) ([]Member, error) {
	if f.Tags == nil {
		f.Tags = map[string]string{} // what Serf's own client sends
	}
	var resp membersResponse
	err := c.do(ctx, cmdMembersFiltered, &f, &resp)
	return resp.Members, err
}

// UpdateTags sets and then deletes tags of the agent's own node.
func (c *Client) UpdateTags(ctx context.Context, set map[string]string, del []string) error {
	return c.do(ctx, cmdTags, &tagsRequest{Tags: set, DeleteTags: del}, nil)
}

// UserEvent sends an event to the whole cluster.
func (c *Client) UserEvent(ctx context.Context, name string, payload []byte, coalesce bool) error {
	return c.do(ctx, cmdEvent, &eventRequest{Name: name, Payload: payload, Coalesce: coalesce}, nil)
}

// Respond answers a query event of one of this client's streams by its ID.
func (c *Client) Respond(ctx context.Context, id uint64, payload []byte) error {
	return c.do(ctx, cmdRespond, &respondRequest{ID: id, Payload: payload}, nil)
}

// Stats returns the sections of serf info.
func (c *Client) Stats(ctx context.Context) (map[string]map[string]string, error) {
	var resp map[string]map[string]string
	err := c.do(ctx, cmdStats, nil, &resp)
	return resp, err
}

// Coordinate returns a node's network coordinate, nil if there is none.
func (c *Client) Coordinate(ctx context.Context, node string) (*Coordinate, error) {
	var resp coordinateResponse
	err := c.do(ctx, cmdGetCoordinate, &coordinateRequest{Node: node}, &resp)
	if err != nil || !resp.Ok {
		return nil, err
	}
	return &resp.Coord, nil
}

// Key runs a key command (InstallKey, UseKey, RemoveKey, ListKeys) on all nodes.
// With an error the answer says which nodes had what to say. ListKeys takes no
// key.
func (c *Client) Key(ctx context.Context, command, key string) (KeyResponse, error) {
	var resp KeyResponse
	if command == ListKeys {
		err := c.do(ctx, command, nil, &resp)
		return resp, err
	}
	err := c.do(ctx, command, &keyRequest{Key: key}, &resp)
	return resp, err
}
