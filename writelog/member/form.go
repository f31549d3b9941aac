package member

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2/maybe"

	"github.com/ibuki-dev/ibuki/writelog"
	"github.com/ibuki-dev/ibuki/writelog/store"
)

// helloEvery is how often a gateway without a log asks the others.
const helloEvery = 200 * time.Millisecond

// identity is what a directory has beside the log: who its member is.
type identity struct {
	Member   uint64            `json:"member"`             // random, drawn when the directory was new
	Founders map[uint64]string `json:"founders,omitempty"` // the members that the log began with
}

// IdentityName is the file of a log's directory that names its member.
const IdentityName = "member.json"

// loadIdentity reads the identity of a directory, or draws one for a new directory.
func loadIdentity(dir string) (id identity, err error) {
	path := filepath.Join(dir, IdentityName)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		id.Member = randomID()
		return id, saveIdentity(dir, id)
	case err != nil:
		return id, err
	}
	if err := json.Unmarshal(bytes.TrimSpace(text), &id); err != nil || id.Member == 0 {
		return id, fmt.Errorf("%s names no member (%v): remove the whole directory, and the gateway joins the others anew", path, err)
	}
	return id, nil
}

func saveIdentity(dir string, id identity) error {
	text, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return maybe.WriteFile(filepath.Join(dir, IdentityName), append(text, '\n'), 0o640)
}

// hello is what gateways say to each other of who they are.
type hello struct {
	Name     string
	Member   uint64
	Cluster  uint64 // 0: it has no log
	Founders map[uint64]string
	Leader   string
	Sum      string // of the catalog that it has
	Epoch    uint64
	Index    uint64 // that its view is of
	Stranger bool   // in an answer: who asks is no member any more
}

// standing is how much a gateway has to say of the log that there is: one that was removed from it has
// the least, since nobody leads it.
func (h *hello) standing() (n uint64) {
	if h.Cluster != 0 {
		n = 1 + 2*h.Epoch
	}
	if h.Leader != "" {
		n++
	}
	return n
}

func (m *Member) hello() hello {
	v := m.View()
	h := hello{Name: m.cfg.Name, Member: m.id, Sum: m.cfg.Sum, Epoch: v.Epoch, Index: v.Index, Leader: v.Leader}
	if v.CatalogAt != 0 {
		h.Sum = v.Catalog.Sum
	}
	if id, ok := m.store.Identity(); ok {
		h.Cluster = id.Cluster
	}
	m.mu.Lock()
	h.Founders = maps.Clone(m.founders)
	m.mu.Unlock()
	return h
}

// form sees to it that the directory has a log. The first members form it together: all
// of them have to be there, and without a log. Who comes later, or has lost its log, is
// let in by the leader, without a vote until it has caught up.
func (m *Member) form() error {
	if _, ok := m.store.Identity(); ok {
		return nil
	}
	if len(m.cfg.Peers) == 0 {
		return m.found(map[uint64]string{m.id: m.cfg.Name})
	}
	said := ""
	for {
		done, why, err := m.tryForm()
		m.others.meet()
		if done || err != nil {
			return err
		}
		if why != said {
			m.log.Info("log of writes waits", "for", why)
			said = why
			v := *m.View()
			v.Fault = why
			m.publish(&v)
		}
		select {
		case <-m.ctx.Done():
			return m.ctx.Err()
		case <-time.After(helloEvery):
		case f := <-m.inbox:
			f(m.cfg.Now())
		}
	}
}

// tryForm asks all others who they are. why says what is missing.
func (m *Member) tryForm() (done bool, why string, err error) {
	members := map[uint64]string{m.id: m.cfg.Name}
	said := m.others.greetAll(m.cfg.Peers)
	slices.SortStableFunc(said, func(a, b greeting) int { return cmp.Compare(b.hello.standing(), a.hello.standing()) })
	for _, g := range said {
		h, peer := g.hello, g.name
		switch {
		case g.err != nil:
			why = fmt.Sprintf("gateway %s: %v", peer, g.err)
			continue
		case h.Cluster == 0 && h.Sum != m.cfg.Sum:
			why = fmt.Sprintf("gateway %s has another catalog: give all gateways the same file, and start them", peer)
			continue
		case h.Cluster == 0:
			members[h.Member] = peer
			continue
		}
		if h.Founders[m.id] == m.cfg.Name && founded(h.Founders) == h.Cluster {
			return true, "", m.found(h.Founders)
		}
		done, why, err = m.askIn(h)
		m.others.bar("it is not taken into the cluster yet: " + cmp.Or(why, "its log is on its way"))
		return done, why, err
	}
	m.others.bar("")
	if len(members) == len(m.cfg.Peers)+1 {
		return true, "", m.found(members)
	}
	return false, why, nil
}

func (m *Member) greet(peer string) (h hello, err error) {
	ctx, cancel := context.WithTimeout(m.ctx, time.Second)
	defer cancel()
	own := m.hello()
	reply, _, err := m.cfg.Transport.Ask(ctx, peer, encodeRequest(&request{Hello: &own}))
	if err != nil {
		return h, err
	}
	r, err := decodeReply(reply)
	if err != nil {
		return h, err
	}
	if r.Hello == nil {
		return h, errors.New("it is a gateway of another version")
	}
	return *r.Hello, nil
}

// founded names the log of its first members.
func founded(members map[uint64]string) uint64 {
	sum := fnv.New64a()
	for _, id := range slices.Sorted(maps.Keys(members)) {
		_, _ = fmt.Fprintf(sum, "%d %s\n", id, members[id])
	}
	return sum.Sum64()>>1 | 1
}

// found begins a log with its first members: each of them writes the same.
func (m *Member) found(members map[uint64]string) error {
	m.mu.Lock()
	m.founders = members
	m.mu.Unlock()
	if err := saveIdentity(m.cfg.Dir, identity{Member: m.id, Founders: members}); err != nil {
		return err
	}
	first := make(map[uint64]writelog.Member, len(members))
	var c *writelog.Catalog
	if m.cfg.Catalog != nil {
		c = m.cfg.Catalog(slices.Sorted(maps.Values(members)))
	}
	for id, name := range members { // order-free: into another map
		first[id] = writelog.Member{Name: name}
	}
	cluster := founded(members)
	if err := m.store.SetIdentity(store.Identity{Cluster: cluster, Member: m.id}); err != nil {
		return err
	}
	m.log.Info("log of writes begins", "cluster", fmt.Sprintf("%016x", cluster), "gateways", len(members))
	return m.store.Save(nil, nil, writelog.Found(cluster, first, slices.Sorted(maps.Keys(members)), c))
}

// askIn asks the leader to be let in.
func (m *Member) askIn(h hello) (done bool, why string, err error) {
	if h.Leader == "" {
		return false, fmt.Sprintf("gateway %s belongs to a log that has no leader", h.Name), nil
	}
	ctx, cancel := context.WithTimeout(m.ctx, time.Second)
	defer cancel()
	reply, _, err := m.cfg.Transport.Ask(ctx, h.Leader, encodeRequest(&request{Join: &join{Member: m.id, Name: m.cfg.Name}}))
	if err != nil {
		return false, fmt.Sprintf("gateway %s, which leads: %v", h.Leader, err), nil
	}
	r, err := decodeReply(reply)
	if err != nil {
		return false, err.Error(), nil
	}
	if !r.Joined {
		return false, "gateway " + h.Leader + " lets this one in: " + r.Fault, nil
	}
	m.log.Info("log of writes is joined", "leader", h.Leader)
	return true, "", m.store.SetIdentity(store.Identity{Cluster: h.Cluster, Member: m.id})
}
