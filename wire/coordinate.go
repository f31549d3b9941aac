package wire

var coordinateFields = []string{"Vec", "Error", "Adjustment", "Height"}

// AppendTo appends the coordinate as the payload of an ack, with the version byte.
func (c *Coordinate) AppendTo(dst []byte) []byte {
	dst = append(dst, PingPayloadVersion, 0x84)
	dst = appendFloat(appendStr(dst, "Adjustment"), c.Adjustment)
	dst = appendFloat(appendStr(dst, "Error"), c.Error)
	dst = appendFloat(appendStr(dst, "Height"), c.Height)
	dst = appendStr(dst, "Vec")
	if c.Vec == nil {
		return appendNil(dst)
	}
	dst = appendArray(dst, len(c.Vec))
	for _, v := range c.Vec {
		dst = appendFloat(dst, v)
	}
	return dst
}

// Decode reads the payload of an ack and checks its version byte. It uses c.Vec
// again. Numbers are taken as they come: NaN and infinities included.
func (c *Coordinate) Decode(payload []byte) error {
	vec := c.Vec
	*c = Coordinate{}
	if len(payload) == 0 {
		return ErrTruncated
	}
	if payload[0] != PingPayloadVersion {
		return ErrPingVersion
	}
	r := reader{b: payload, pos: 1}
	for f := r.open(coordinateFields); f.next(); {
		switch f.name {
		case "Vec":
			c.Vec = r.floats(vec)
		case "Error":
			c.Error = r.float()
		case "Adjustment":
			c.Adjustment = r.float()
		case "Height":
			c.Height = r.float()
		}
	}
	return r.err
}

func (r *reader) floats(reuse []float64) []float64 {
	n, ok := r.list(MaxDimensions)
	if !ok {
		return nil
	}
	list := reuse[:0]
	if list == nil {
		list = []float64{}
	}
	for range n {
		if r.tryNil() {
			list = append(list, 0)
			continue
		}
		list = append(list, r.float())
	}
	return list
}
