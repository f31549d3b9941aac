package serf

import (
	"bytes"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// encodeTags returns tags, sorted by key, as node metadata (P115). Before
// protocol 3 there is only the role.
func encodeTags(protocol uint8, tags []wire.Tag) []byte {
	if protocol < 3 {
		return wire.AppendRole(nil, tags)
	}
	return wire.AppendTags(nil, tags)
}

// findTag returns the value of a tag, "" if it is not there, as Serf's filters do.
func findTag(tags []wire.Tag, key string) string {
	for i := range tags {
		if tags[i].Key == key {
			return tags[i].Value
		}
	}
	return ""
}

// SetTags replaces this node's tags and tells the others (P116). Local shows
// them when it returns.
func (m *Machine) SetTags(now time.Time, tags []wire.Tag) error {
	m.now = now
	if m.over() {
		return ErrNotAlive
	}
	if err := m.tellTags(sortedTags(tags)); err != nil {
		return err
	}
	m.settle()
	return nil
}

// CheckTags returns the error that SetTags would.
func (m *Machine) CheckTags(tags []wire.Tag) error {
	if len(encodeTags(m.cfg.Protocol, m.ownTags(sortedTags(tags)))) > wire.MetaMax {
		return ErrTagsTooLong
	}
	return nil
}

// tellTags makes tags, which are sorted, this node's, and tells the others.
func (m *Machine) tellTags(tags []wire.Tag) error {
	if err := m.CheckTags(tags); err != nil {
		return err
	}
	if err := m.swim.SetMeta(m.now, encodeTags(m.cfg.Protocol, m.ownTags(tags))); err != nil {
		return err
	}
	m.cfg.Tags = tags
	// If swim told of the update this finds nothing new.
	m.memberUpdated(m.swim.Local())
	return nil
}

// ClusterTag is the tag by which a member says to which cluster it belongs. (P245)
const ClusterTag = "ibuki-cluster"

// clusterOf is the value of ClusterTag in metadata, "" if there is none.
func (m *Machine) clusterOf(meta []byte) string {
	if !bytes.Contains(meta, []byte(ClusterTag)) {
		return ""
	}
	return findTag(m.decodeTags(meta), ClusterTag)
}
