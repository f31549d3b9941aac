package dispatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2/maybe"
)

// savedState is what a gateway has to know again after it was killed.
type savedState struct {
	// Behind are the servers for which acknowledged writes wait here. What waits for
	// another one was not acknowledged.
	Behind []string `json:"behind"`
	// Held are the servers for which writes wait at other gateways, and the oldest
	// one's stamp.
	Held map[string]map[string]int64 `json:"held,omitempty"`
}

// stateFile keeps a savedState; with no path it keeps nothing.
type stateFile string

// stateName is the file's name in Config.Dir.
const stateName = "gateway.json"

func newStateFile(dir string) stateFile {
	if dir == "" {
		return ""
	}
	return stateFile(filepath.Join(dir, stateName))
}

// save replaces the file. It is on disk when save returns.
func (f stateFile) save(s savedState) error {
	if f == "" {
		return nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return maybe.WriteFile(string(f), append(text, '\n'), 0o640)
}

// load reads the file; none is an empty state.
func (f stateFile) load() (s savedState, err error) {
	if f == "" {
		return s, nil
	}
	text, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("state of the gateway, %s: %w", string(f), err)
	}
	return s, nil
}
