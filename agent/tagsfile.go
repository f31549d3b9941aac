package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/ibuki-dev/ibuki/atomicfile"
)

// maxTagsFile bounds what is read from a tags file, in bytes: far more than
// tags that fit a member's metadata need.
const maxTagsFile = 1 << 20

// loadTagsFile takes the tags from the file, if it is there.
func (a *Agent) loadTagsFile() error {
	if a.cfg.TagsFile == "" {
		return nil
	}
	f, err := atomicfile.Open(a.cfg.TagsFile, os.O_RDONLY, 0)
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
	a.cfg.Tags = SortedTags(tags)
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
	if _, err := atomicfile.Replace(a.cfg.TagsFile, b, 0o600, false); err != nil {
		return fmt.Errorf("Failed to write tags file: %w", err)
	}
	return nil
}
