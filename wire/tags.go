package wire

import (
	"cmp"
	"slices"
)

// tagMagic is the first byte of metadata that hold tags. Metadata without it are
// those of a member of Serf protocol 1 or 2: its role, as plain text.
const tagMagic = 255

// roleTag is the tag that the metadata of old protocols become.
const roleTag = "role"

// AppendTags appends the tags as node metadata. Equal tags give equal bytes
// whatever their order, so that an unchanged member does not look changed.
func AppendTags(dst []byte, tags []Tag) []byte {
	if !slices.IsSortedFunc(tags, compareTags) {
		tags = slices.Clone(tags)
		slices.SortFunc(tags, compareTags)
	}
	dst = appendMap(append(dst, tagMagic), len(tags))
	return appendTagPairs(dst, tags)
}

// AppendRole appends the tags as node metadata of Serf protocol 2 and less: the
// role alone.
func AppendRole(dst []byte, tags []Tag) []byte {
	for i := range tags {
		if tags[i].Key == roleTag {
			return append(dst, tags[i].Value...)
		}
	}
	return dst
}

// DecodeTags reads node metadata, sorted by key. If they are damaged, it
// returns the tags up to there and an error.
func DecodeTags(meta []byte, in Interner) ([]Tag, error) {
	r := reader{b: meta, in: in}
	if len(meta) == 0 || meta[0] != tagMagic {
		r.pos = len(meta)
		return []Tag{{roleTag, intern(meta, in)}}, nil
	}
	r.pos = 1
	tags := r.tagMap()
	return tags, r.err
}

func intern(b []byte, in Interner) string {
	if in == nil || len(b) == 0 {
		return string(b)
	}
	return in.Intern(b)
}

func compareTags(a, b Tag) int { return cmp.Compare(a.Key, b.Key) }

// appendTagMap writes the map in the order given; nil for nil tags.
func appendTagMap(dst []byte, tags []Tag) []byte {
	if tags == nil {
		return appendNil(dst)
	}
	return appendTagPairs(appendMap(dst, len(tags)), tags)
}

func appendTagPairs(dst []byte, tags []Tag) []byte {
	for i := range tags {
		dst = appendStr(appendStr(dst, tags[i].Key), tags[i].Value)
	}
	return dst
}

// tagMap reads a map of strings, sorted by key. Of a key that comes twice the
// later value counts.
func (r *reader) tagMap() []Tag {
	n, ok := r.pairs(MaxTags)
	if !ok {
		return nil
	}
	tags := make([]Tag, 0, min(n, 8))
	for range n {
		t := Tag{Key: r.str()}
		t.Value = r.str()
		if r.err != nil {
			break
		}
		tags = append(tags, t)
	}
	slices.SortStableFunc(tags, compareTags)
	return lastOfEach(tags)
}

// lastOfEach drops from sorted tags all but the last one of each key.
func lastOfEach(tags []Tag) []Tag {
	out := tags[:0]
	for i := range tags {
		if i+1 < len(tags) && tags[i+1].Key == tags[i].Key {
			continue
		}
		out = append(out, tags[i])
	}
	return out
}
