package swim

// index finds members by their names. It keeps places in a list of members instead of
// names and pointers: a sixth of what a map of Go's takes.
//
// Rule: linear probing in a table whose size is a power of two and of which at most
// three quarters are used. A place is kept plus one; 0 is free. Nothing is taken out: who
// removes members from the list fills the index anew, since their removal moves the others.
type index struct {
	seed  uint64 // so that nobody outside can choose names that meet in one slot
	slots []uint32
	used  int
}

// hash is FNV-1a from the seed on, with its high bits folded in.
func hash[N string | []byte](seed uint64, name N) uint32 {
	h := seed ^ 14695981039346656037
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h ^= h >> 29
	return uint32(h ^ h>>32)
}

// findIn returns the member of list that has the name, nil if there is none. list is
// the one that x is the index of.
func findIn[N string | []byte](x *index, list []*member, name N) *member {
	if len(x.slots) == 0 {
		return nil
	}
	last := uint32(len(x.slots) - 1)
	for i := hash(x.seed, name) & last; x.slots[i] != 0; i = (i + 1) & last {
		if e := list[x.slots[i]-1]; e.name == string(name) {
			return e
		}
	}
	return nil
}

// add notes the last member of list, which is new.
func (x *index) add(list []*member) {
	if (x.used+1)*4 > len(x.slots)*3 {
		x.fill(list)
		return
	}
	x.put(list, len(list)-1)
}

// fill makes it the index of list.
func (x *index) fill(list []*member) {
	size := 8
	for len(list)*4 > size*3 {
		size *= 2
	}
	if size > len(x.slots) {
		x.slots = make([]uint32, size)
	}
	clear(x.slots)
	x.used = 0
	for i := range list {
		x.put(list, i)
	}
}

func (x *index) put(list []*member, at int) {
	last := uint32(len(x.slots) - 1)
	i := hash(x.seed, list[at].name) & last
	for x.slots[i] != 0 {
		i = (i + 1) & last
	}
	x.slots[i] = uint32(at) + 1
	x.used++
}
