package swim

import "github.com/ibuki-dev/ibuki/wire"

// This file is how natives know each other: by a key in known messages that
// plain nodes pass over, so that nothing is asked and nothing negotiated.

// native is what this node says of itself: 0 if it is to be a plain one. (P190)
func (c *Config) native() uint8 {
	if c.Plain {
		return 0
	}
	return wire.NativeVersion
}

// tells says what may be said of e to others: what it said of itself, or what
// others said of it. A plain node says nothing. (P191)
func (c *Config) tells(e *member) uint8 {
	if c.Plain {
		return 0
	}
	return e.native
}

// heardNative notes that the member itself said that it speaks this version, 0 if
// it said nothing: it is plain, or has become so. (P191)
func (m *Machine) heardNative(name string, version uint8) {
	if m.cfg.Plain || name == "" {
		return
	}
	e := m.members.get(name)
	if e == nil || e == m.local || e.native == version {
		return
	}
	e = m.members.own(e)
	e.native = version
	m.ringChanged(e)
	m.members.rings.note(e)
}

// toldNative notes that somebody said so of e. Silence means nothing here: the
// message may have come by a plain node, which drops the key. (P191)
func (m *Machine) toldNative(e *member, version uint8) {
	if version > 0 && e != m.local {
		m.heardNative(e.name, version)
	}
}
