package serf

import "bytes"

// ClusterTag is the tag by which a member says to which cluster it belongs. (P245)
const ClusterTag = "ibuki-cluster"

// clusterOf is the value of ClusterTag in metadata, "" if there is none.
func (m *Machine) clusterOf(meta []byte) string {
	if !bytes.Contains(meta, []byte(ClusterTag)) {
		return ""
	}
	return findTag(m.decodeTags(meta), ClusterTag)
}
