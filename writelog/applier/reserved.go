package applier

import (
	"bytes"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// Reserved reports whether a client's command is about a configuration key that is ibuki's own.
// A config_set and a config_delete of one are to be refused, a config_get to be answered as for
// a key that is not there: with "".
func Reserved(c *groonga.Command) bool {
	switch c.Name {
	case "config_set", "config_delete", "config_get":
		for _, a := range c.Args { // whichever counts
			if a.Name == "key" && strings.HasPrefix(a.Value, Prefix) {
				return true
			}
		}
	}
	return false
}

// StripDump takes ibuki's own configuration keys out of the body of a dump. The body is not changed;
// what is returned may share its memory.
func StripDump(body []byte) []byte {
	own := []byte("config_set " + Prefix)
	if !bytes.HasPrefix(body, own) && !bytes.Contains(body, append([]byte{'\n'}, own...)) {
		return body
	}
	kept := make([]byte, 0, len(body))
	settings := false // whether a key of the client's was kept
	for line := range bytes.Lines(body) {
		switch {
		case bytes.HasPrefix(line, own):
			continue
		case bytes.HasPrefix(line, []byte("config_set ")):
			settings = true
		case !settings && len(bytes.TrimRight(line, "\r\n")) == 0 && len(kept) == 0:
			continue // the end of a section that has become empty
		case !settings && onlyPlugins(kept) && len(bytes.TrimRight(line, "\r\n")) == 0 && bytes.HasSuffix(kept, []byte("\n\n")):
			continue // the same after the section of plugins
		}
		kept = append(kept, line...)
	}
	return kept
}

// onlyPlugins reports whether a dump has come no farther than its plugins.
func onlyPlugins(b []byte) bool {
	for line := range bytes.Lines(b) {
		if len(bytes.TrimSpace(line)) > 0 && !bytes.HasPrefix(line, []byte("plugin_register ")) {
			return false
		}
	}
	return true
}
