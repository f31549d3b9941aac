package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ibuki-dev/ibuki/backup"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
	"github.com/ibuki-dev/ibuki/writelog/fill"
)

// BackupInfo tells how a dataset is spread over servers; "" is the default one.
func (d *Dispatcher) BackupInfo(name string) (*backup.Info, error) {
	ds, err := d.dataset(name)
	if err != nil {
		return nil, err
	}
	info := &backup.Info{Dataset: ds.name, Fact: ds.fact}
	for _, p := range ds.readable().parts {
		info.Slices = append(info.Slices, joinName(ds.name, p.label))
	}
	return info, nil
}

// Backup writes a dump of each slice of a dataset, all as they are at one place of the log, while searches and writes
// go on: one server of each slice has nothing applied to it until it is dumped. file is given the name of each and
// returns where it goes. The manifest is complete but for the version of this program.
func (d *Dispatcher) Backup(ctx context.Context, name string, file func(name string) (io.Writer, error)) (*backup.Manifest, error) {
	if d.logged == nil {
		return nil, errors.New("the gateway keeps no log of writes")
	}
	ds, err := d.dataset(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ctx, func() { cancel(ErrStopped) })()
	b := &backingUp{l: d.logged, ds: ds, layout: ds.readable(), manifest: backup.New()}
	defer func() {
		for _, s := range b.slices { // all at once would do no harm, but one by one is as good
			s.end(ctx)
		}
	}()
	defer cancel(nil)
	err = b.pause(ctx)
	if err == nil {
		err = b.write(ctx, cancel, file)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause // what broke the rest off
	}
	return b.manifest, err
}

// backingUp is a backup that is being taken.
type backingUp struct {
	l        *logged
	ds       *dataset
	layout   *layout
	slices   []*dumping
	manifest *backup.Manifest
}

// pause has one server of each slice stand still at one place of the log.
func (b *backingUp) pause(ctx context.Context) error {
	d, m := b.l.d, b.manifest
	var servers []*volume
	for _, p := range b.layout.parts {
		v := backupServer(p)
		if v == nil {
			return fmt.Errorf("slice %s: %w", joinName(b.ds.name, p.label), errNoSource)
		}
		servers = append(servers, v)
	}
	answers, err := b.l.atPosition(ctx, servers, applier.Pause())
	if err != nil {
		return err
	}
	m.ID, m.Dataset, m.Fact = rand.Text(), b.ds.name, b.ds.fact
	m.Cluster = fmt.Sprintf("%016x", b.l.member.View().Cluster)
	dump := &groonga.Command{Name: "dump"}
	for i, a := range answers {
		body, err := groonga.Result(a.Body)
		if err != nil || a.Code != 0 {
			return fmt.Errorf("%s cannot be backed up now: %s", servers[i].addr, groonga.Message(a.Body))
		}
		var at applier.Paused
		if err := json.Unmarshal(body, &at); err != nil {
			return fmt.Errorf("%s: what its gateway says is of no known form: %w", servers[i].addr, err)
		}
		m.Term, m.Index = at.Term, at.Index
		b.slices = append(b.slices, &dumping{
			l: b.l, from: servers[i], command: dump, gateway: b.l.gatewayOf(servers[i]), hold: at.Hold, begun: time.Now(), ended: make(chan error, 1),
		})
		m.Files = append(m.Files, backup.File{Name: backup.FileName(i), Slice: joinName(b.ds.name, b.layout.parts[i].label), Server: servers[i].addr})
		dump = b.rest()
	}
	answer, err := d.question(servers[0], statusCommand)
	if err == nil {
		m.Groonga = versionOf(answer.Body)
	}
	return err
}

// backupServer is the one of a slice that has all and the least to do.
func backupServer(p *part) (best *volume) {
	for _, v := range p.volumes {
		if v.rank() == good && (best == nil || v.outstanding.Load() < best.outstanding.Load()) {
			best = v
		}
	}
	return best
}

// rest is what slices after the first are asked for: the first has what all have.
func (b *backingUp) rest() *groonga.Command {
	c := &groonga.Command{Name: "dump"}
	for _, part := range []string{"plugins", "schema", "indexes", "configs"} {
		c.Set("dump_"+part, "no")
	}
	if b.ds.fact != "" {
		c.Set("tables", b.ds.fact)
	}
	return c
}

// versionOf is Groonga's, by its status.
func versionOf(status []byte) string {
	body, err := groonga.Result(status)
	var said struct{ Version string }
	if err != nil || json.Unmarshal(body, &said) != nil {
		return ""
	}
	return said.Version
}

// write takes the dumps, all at the same time, and writes them one after the other.
func (b *backingUp) write(ctx context.Context, cancel context.CancelCauseFunc, file func(name string) (io.Writer, error)) (err error) {
	_, most := b.l.member.Size()
	for _, s := range b.slices {
		if s.spool, err = fill.NewSpool(b.l.d.cfg.WriteLog.Dir, most); err != nil {
			return err
		}
		s.taking.Go(func() { s.take(ctx, cancel) })
	}
	for i, s := range b.slices {
		out, err := file(b.manifest.Files[i].Name)
		if err != nil {
			return err
		}
		var slice *backup.Slice
		if len(b.layout.parts) > 1 {
			slice = &backup.Slice{Cut: func(table string) bool { return b.ds.fact == "" || b.ds.fact == table }, Home: b.home(i)}
		}
		if err := backup.Write(ctx, oneServer{b.l.d, s.from}, s.spool, out, &b.manifest.Files[i], slice); err != nil {
			return err
		}
		if err := <-s.ended; err != nil {
			return err
		}
	}
	return nil
}

// home tells which records belong to a slice: others are there because records of the slice refer to them.
func (b *backingUp) home(slice int) backup.Home {
	types := make(map[string]groonga.Keys)
	return func(ctx context.Context, table string, columns []string, row []byte) (bool, error) {
		if b.ds.fact != "" && table != b.ds.fact {
			return true, nil
		}
		keys, known := types[table]
		if !known {
			all, err := b.l.d.keys(ctx, b.ds, table)
			if err != nil {
				return false, err
			}
			keys = groonga.Keys{Type: all.Type} // what a dump has is normalized
			types[table] = keys
		}
		list := &groonga.RecordList{Columns: columns}
		record := list.Record(row)
		text, err := keys.Place(record["_key"])
		if err != nil {
			return true, nil // one that cannot be placed is kept
		}
		record["_key"] = text
		at, err := b.layout.cut.Find(record)
		return err != nil || at == slice, nil
	}
}
