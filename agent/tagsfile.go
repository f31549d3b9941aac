package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxTagsFile bounds what is read from a tags file, in bytes: far more than
// tags that fit a member's metadata need.
const maxTagsFile = 1 << 20

// loadTagsFile takes the tags from the file, if it is there.
func (a *Agent) loadTagsFile() error {
	if a.cfg.TagsFile == "" {
		return nil
	}
	f, err := os.Open(a.cfg.TagsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("Failed to read tags file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTagsFile))
	if err != nil {
		return fmt.Errorf("Failed to read tags file: %w", err)
	}
	var tags map[string]string
	if err := json.Unmarshal(b, &tags); err != nil {
		return fmt.Errorf("Failed to decode tags file: %w", err)
	}
	a.cfg.Tags = sortedTags(tags)
	a.logger.Info(fmt.Sprintf("agent: Restored %d tag(s) from %s", len(tags), a.cfg.TagsFile))
	return nil
}

// writeTagsFile replaces the file as a whole: whoever reads it, whenever the
// power goes, finds the old tags or the new ones.
func (a *Agent) writeTagsFile(tags map[string]string) error {
	if a.cfg.TagsFile == "" {
		return nil
	}
	b, err := json.MarshalIndent(tags, "", "  ")
	if err != nil {
		return fmt.Errorf("Failed to encode tags: %w", err)
	}
	if err := writeFile(a.cfg.TagsFile, b); err != nil {
		return fmt.Errorf("Failed to write tags file: %w", err)
	}
	return nil
}

// writeFile writes atomically, readable by the owner only.
func writeFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
