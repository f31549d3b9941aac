package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	// Path is where a gateway takes a backup, by POST: a multipart/mixed of its files, in which the manifest is the last
	// one. If there is none, the backup is not complete: a part with the name FaultName says why. GET tells how the
	// dataset is spread over servers (Info). The argument dataset names one that is not the default.
	Path = "/ibuki/backup"
	// FaultName is the name of a part that is no file: why there are no more.
	FaultName = "fault"

	// silence is how long a gateway may send nothing while it takes a backup: its servers may be silent for a minute.
	silence = 2 * time.Minute
	// infoWait is how long it may take to say how a dataset is spread.
	infoWait = 3 * time.Second
)

// Info is how a dataset is spread over servers.
type Info struct {
	Dataset string   `json:"dataset"`
	Fact    string   `json:"fact,omitempty"` // the table that is cut into slices; "": all are
	Slices  []string `json:"slices"`
}

// Cuts reports whether the records of a table are on several slices.
func (i *Info) Cuts(table string) bool {
	return len(i.Slices) > 1 && (i.Fact == "" || i.Fact == table)
}

// Info asks how the dataset is spread over servers.
func (c *Client) Info(ctx context.Context) (*Info, error) {
	ctx, cancel := context.WithTimeout(ctx, infoWait)
	defer cancel()
	resp, err := c.backup(ctx, http.MethodGet)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	info := new(Info)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxManifest)).Decode(info); err != nil {
		return nil, fmt.Errorf("what answers at %s is no gateway: %w", c.address, err)
	}
	return info, nil
}

func (c *Client) backup(ctx context.Context, method string) (*http.Response, error) {
	if _, _, err := net.SplitHostPort(c.address); err != nil {
		return nil, fmt.Errorf("-gateway: %w", err)
	}
	where := "http://" + c.address + Path + "?" + url.Values{"dataset": {c.dataset}}.Encode()
	req, err := http.NewRequestWithContext(ctx, method, where, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), errors.Unwrap(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s is no gateway with -log of this version", c.address)
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	return nil, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
}

// Take has the gateway take a backup and writes it into a directory; the manifest is the last. heard is told of what
// comes.
func (c *Client) Take(ctx context.Context, dir string, heard func(file string, bytes int)) (*Manifest, error) {
	b := taking{dir}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the gateway has sent nothing for %v", silence)) })
	defer alarm.Stop()
	resp, err := c.backup(ctx, http.MethodPost)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return nil, fmt.Errorf("what answers at %s is no gateway", c.address)
	}
	if err := os.MkdirAll(b.dir, 0o750); err != nil {
		return nil, err
	}
	if err := removeParts(b.dir); err != nil {
		return nil, err
	}
	in := multipart.NewReader(resp.Body, params["boundary"])
	sums := make(map[string]string)
	for {
		part, err := in.NextRawPart()
		if err != nil {
			return nil, errors.Join(context.Cause(ctx), fmt.Errorf("the gateway has broken the backup off: %w", err))
		}
		name := part.FileName()
		if name == ManifestName || name == FaultName {
			return b.complete(part, name, sums)
		}
		sums[name], err = b.file(part, name, func(n int) {
			alarm.Reset(silence)
			heard(name, n)
		})
		if err != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// taking writes what comes into a directory.
type taking struct{ dir string }

// complete checks the files against the manifest, and writes it.
func (b *taking) complete(part io.Reader, name string, sums map[string]string) (*Manifest, error) {
	text, err := io.ReadAll(io.LimitReader(part, maxManifest))
	if err != nil {
		return nil, err
	}
	if name == FaultName {
		return nil, errors.New(string(text))
	}
	m, err := Parse(text)
	if err != nil {
		return nil, err
	}
	for i := range m.Files {
		if f := &m.Files[i]; sums[f.Name] != f.SHA256 {
			return nil, fmt.Errorf("%s came with another checksum than it was sent with", f.Name)
		}
	}
	_, err = b.file(bytes.NewReader(text), name, func(int) {})
	return m, err
}

// partName is what the names of files have that are not complete.
const partName = ".part-"

// removeParts removes what a backup has left that was broken off.
func removeParts(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "slice-*"+partName+"*"))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// file writes a file of the backup, under its name when it is on the disk, and returns its checksum.
func (b *taking) file(in io.Reader, name string, heard func(n int)) (checksum string, err error) {
	if filepath.Base(name) != name || !filepath.IsLocal(name) {
		return "", fmt.Errorf("the gateway sends a file %.80q", name)
	}
	out, err := os.CreateTemp(b.dir, name+partName+"*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name())
		}
	}()
	h, buffer := sha256.New(), make([]byte, 256<<10)
	for ended := false; !ended; {
		n, err := in.Read(buffer)
		h.Write(buffer[:n])
		if _, err := out.Write(buffer[:n]); err != nil {
			return "", err
		}
		heard(n)
		switch {
		case errors.Is(err, io.EOF):
			ended = true
		case err != nil:
			return "", err
		}
	}
	if err := errors.Join(out.Chmod(0o640), out.Sync(), out.Close()); err != nil {
		return "", err
	}
	return sum(h), os.Rename(out.Name(), filepath.Join(b.dir, name))
}
