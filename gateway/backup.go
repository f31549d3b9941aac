package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/textproto"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/backup"
)

// backupBoundary is between the parts: no line of a dump is like it.
const backupBoundary = "ibuki-backup-5d1f0a7c3e9b4862"

// Backups takes backups: see dispatch.Dispatcher.
type Backups interface {
	BackupInfo(dataset string) (*backup.Info, error)
	Backup(ctx context.Context, dataset string, file func(name string) (io.Writer, error)) (*backup.Manifest, error)
}

// backup answers who wants a backup. It ends when the client is gone.
func (s *Server) backup(ctx *fasthttp.RequestCtx) {
	dataset := string(ctx.QueryArgs().Peek("dataset"))
	info, err := s.cfg.Backups.BackupInfo(dataset)
	switch {
	case err != nil:
		ctx.Error(err.Error()+"\n", fasthttp.StatusBadRequest)
	case ctx.IsGet():
		s.json(ctx, info)
	case !ctx.IsPost():
		ctx.Error("POST takes a backup, GET tells how the data is spread over servers\n", fasthttp.StatusMethodNotAllowed)
	default:
		ctx.SetContentType("multipart/mixed; boundary=" + backupBoundary)
		ctx.SetBodyStreamWriter(func(w *bufio.Writer) { s.backupTo(w, dataset) })
	}
}

// backupTo writes what a client gets.
func (s *Server) backupTo(w *bufio.Writer, dataset string) {
	parts := multipart.NewWriter(w)
	if err := parts.SetBoundary(backupBoundary); err != nil {
		panic(err) // a constant
	}
	part := func(name string) (io.Writer, error) {
		return parts.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`attachment; filename="` + name + `"`}})
	}
	m, err := s.cfg.Backups.Backup(context.Background(), dataset, part)
	name, text := backup.FaultName, []byte(nil)
	if err == nil {
		m.Ibuki, name = s.cfg.Version, backup.ManifestName
		text, err = json.MarshalIndent(m, "", "  ")
	}
	if err != nil {
		name, text = backup.FaultName, []byte(err.Error())
		s.cfg.Log.Error("backup", "error", err)
	}
	if out, err := part(name); err == nil {
		_, _ = out.Write(text) // a client that is gone has heard nothing
	}
	_ = parts.Close()
	_ = w.Flush()
}
