//go:build !windows

package livefile

import (
	"path/filepath"

	"github.com/google/renameio/v2"
)

// replaceFile writes beside the file and renames, so that removeTemporary finds
// what is left of it. The mode of a file that is there stays as it is.
func replaceFile(path string, text []byte) error {
	return renameio.WriteFile(path, text, 0o644,
		renameio.WithTempDir(filepath.Dir(path)), renameio.WithExistingPermissions())
}
