package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/backup"
)

// backupFlags are those of backup and restore.
type backupFlags struct {
	address, dataset, dir string
	json, dry, discard    bool
}

func (e *env) backupFlags(args []string, discard bool) (f *backupFlags, code int) {
	f = new(backupFlags)
	fs := e.flags()
	fs.StringVar(&f.address, "gateway", defaultGateway, "")
	fs.StringVar(&f.dataset, "dataset", "", "")
	fs.BoolVar(&f.json, "json", false, "")
	fs.BoolVar(&f.dry, "n", false, "")
	fs.BoolVar(&f.dry, "dry-run", false, "")
	if discard {
		fs.BoolVar(&f.discard, "discard", false, "")
	}
	if fs.Parse(args) != nil {
		return nil, 1
	}
	if f.dir = fs.Arg(0); fs.NArg() != 1 || f.dir == "" {
		return nil, e.usage("Say the directory of the backup.")
	}
	return f, 0
}

func runClusterBackup(e *env, args []string) int {
	f, code := e.backupFlags(args, false)
	if f == nil {
		return code
	}
	if there, err := backup.Exists(f.dir); err != nil {
		return e.fail("Error: %s", err)
	} else if there {
		return e.fail("There is a backup in %s already: name another directory.", f.dir)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := backup.NewClient(f.address, f.dataset)
	defer client.Close()
	if f.dry {
		info, err := client.Info(ctx)
		switch {
		case err != nil:
			return e.fail("Error asking the gateway: %s", err)
		case f.json:
			return e.printJSON(info)
		}
		e.say("%s would get %s: %s.", f.dir, counted(len(info.Slices), "file"), strings.Join(info.Slices, ", "))
		return 0
	}
	begun, size := time.Now(), 0
	p := e.showProgress("Waiting for the servers")
	m, err := client.Take(ctx, f.dir, func(file string, n int) {
		size += n
		p.pause()
		p.resume("Taking a backup: %s, %d MB", file, size/1_000_000)
	})
	p.stop()
	switch {
	case ctx.Err() != nil:
		return e.fail("Broken off: what is in %s is no backup.", f.dir)
	case err != nil:
		return e.fail("Error taking a backup: %s", err)
	case f.json:
		return e.printJSON(m)
	}
	for i := range m.Files {
		e.say("%s: %s, from %s", filepath.Join(f.dir, m.Files[i].Name), m.Files[i].Slice, m.Files[i].Server)
	}
	e.say("%s: %s of %s, %d MB, as they were at entry %d of the log; %.1f s", f.dir, counted(int(m.Total()), "record"),
		counted(m.Tables(), "table"), (size+500_000)/1_000_000, m.Index, time.Since(begun).Seconds())
	return 0
}

func runClusterRestore(e *env, args []string) int {
	f, code := e.backupFlags(args, true)
	if f == nil {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := backup.NewClient(f.address, f.dataset)
	defer client.Close()
	begun, read := time.Now(), int64(0)
	p := e.showProgress("Checking the backup")
	r, err := client.Prepare(ctx, f.dir, f.discard, func(n int64) {
		read += n
		p.pause()
		p.resume("Checking the backup: %d MB", read/1_000_000)
	})
	prepared := err == nil
	if prepared && !f.dry {
		total, rows := r.Folder.Total(), atomic.Int64{}
		err = r.Run(ctx, func(n int) {
			all := rows.Add(int64(n))
			p.pause()
			p.resume("Restoring: %d of %d records", all, total)
		})
	}
	p.stop()
	switch {
	case ctx.Err() != nil && prepared && !f.dry:
		return e.fail("Broken off: the cluster has a part of the backup. The same command begins anew.")
	case ctx.Err() != nil:
		return e.fail("Broken off: nothing was changed.")
	case errors.Is(err, backup.ErrNotEmpty):
		return e.fail("Error restoring %s: %s. With -discard what it has is removed first.", f.dir, err)
	case err != nil:
		return e.fail("Error restoring %s: %s", f.dir, err)
	}
	said := newRestored(r, f.dry, time.Since(begun))
	if f.json {
		return e.printJSON(said)
	}
	e.say("%s", said)
	return 0
}

// restored is what became of a restore.
type restored struct {
	Backup  string    `json:"backup"`
	Made    time.Time `json:"made"`
	Index   uint64    `json:"index"`
	From    int       `json:"from_slices"`
	Slices  int       `json:"slices"`
	Tables  int       `json:"tables"`
	Records int64     `json:"records"`
	Removed int       `json:"removed"` // tables that the cluster had
	DryRun  bool      `json:"dry_run"`
	Seconds float64   `json:"seconds"`
}

func newRestored(r *backup.Restoring, dry bool, took time.Duration) restored {
	m := r.Folder.Manifest
	return restored{m.ID, m.Made, m.Index, len(m.Files), len(r.Info.Slices), m.Tables(), m.Total(), r.Tables, dry, took.Seconds()}
}

func (r restored) String() string {
	what := fmt.Sprintf("%s of %s, as of %s, from %s into %s", counted(int(r.Records), "record"), counted(r.Tables, "table"),
		r.Made.Local().Format(time.DateTime), counted(r.From, "slice"), counted(r.Slices, "slice"))
	if r.DryRun && r.Removed > 0 {
		return fmt.Sprintf("%s would be removed, and then restored: %s.", counted(r.Removed, "table"), what)
	}
	if r.DryRun {
		return "Would be restored: " + what + "."
	}
	return fmt.Sprintf("Restored: %s; %.1f s", what, r.Seconds)
}

// printJSON prints something for programs.
func (e *env) printJSON(v any) int {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return e.fail("Encoding error: %s", err)
	}
	e.say("%s", text)
	return 0
}
