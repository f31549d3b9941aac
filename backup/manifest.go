package backup

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

const (
	// ManifestName is the name of the file that is written last: without it a backup is not complete.
	ManifestName = "manifest.json"
	// format is that of today's backups.
	format = 1
	// maxManifest bounds the size of a manifest.
	maxManifest = 16 << 20
)

// ErrBad says that what is in a folder is no backup, or not what was written.
var ErrBad = errors.New("not a complete backup")

// Manifest describes a backup.
type Manifest struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Made    time.Time `json:"made"`
	Ibuki   string    `json:"ibuki"`   // version of the gateway
	Groonga string    `json:"groonga"` // version of the first slice's server
	Dataset string    `json:"dataset"`
	Fact    string    `json:"fact,omitempty"` // the table that was cut into slices; "": all were
	// Cluster, Term and Index are the place of the log: everything before that entry is in the backup, nothing after it.
	Cluster string `json:"cluster"`
	Term    uint64 `json:"term"`
	Index   uint64 `json:"index"`
	Files   []File `json:"files"` // to be read in this order
}

// File is one dump of a backup.
type File struct {
	Name    string           `json:"name"`
	Slice   string           `json:"slice"`
	Server  string           `json:"server"`
	Bytes   int64            `json:"bytes"`
	SHA256  string           `json:"sha256"`
	Records map[string]int64 `json:"records"` // by table
	// LeftOut are empty records that a server has because records of its slice refer to them; they themselves are in
	// the file of another slice.
	LeftOut int64 `json:"left_out,omitempty"`
}

// Total is how many records there are.
func (m *Manifest) Total() (n int64) {
	for i := range m.Files {
		for _, r := range m.Files[i].Records { // order-free: a sum
			n += r
		}
	}
	return n
}

// Tables is how many tables have records.
func (m *Manifest) Tables() int {
	names := make(map[string]bool)
	for i := range m.Files {
		for name := range m.Files[i].Records { // order-free: counted
			names[name] = true
		}
	}
	return len(names)
}

// FileName is the name of the file of the slice with a number.
func FileName(slice int) string { return fmt.Sprintf("slice-%03d.grn", slice) }

// New begins a manifest.
func New() *Manifest { return &Manifest{Format: format, Made: time.Now().UTC()} }

// fileName is what the names of files may be: they are in the folder.
var fileName = regexp.MustCompile(`^[A-Za-z0-9_-]+\.grn$`)

// Parse reads a manifest.
func Parse(text []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBad, ManifestName, err)
	}
	if m.Format != format {
		return nil, fmt.Errorf("%w: %s says format %d, and this version reads format %d", ErrBad, ManifestName, m.Format, format)
	}
	seen := make(map[string]bool)
	for i := range m.Files {
		f := &m.Files[i]
		if !fileName.MatchString(f.Name) || seen[f.Name] {
			return nil, fmt.Errorf("%w: %s names the file %.80q", ErrBad, ManifestName, f.Name)
		}
		seen[f.Name] = true
	}
	if len(m.Files) == 0 || m.ID == "" {
		return nil, fmt.Errorf("%w: %s names no files", ErrBad, ManifestName)
	}
	return m, nil
}

// read reads the manifest of a folder.
func read(dir string) (*Manifest, error) {
	name := filepath.Join(dir, ManifestName)
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s, which is written last", ErrBad, dir, ManifestName)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxManifest {
		return nil, fmt.Errorf("%w: %s is no file of at most %d bytes", ErrBad, name, maxManifest)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// sum is what a manifest says of a checksum.
func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
