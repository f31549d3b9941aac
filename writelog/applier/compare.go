package applier

import (
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// ErrDiffers is an ErrSuspect: what the server holds is not what the others of its slice hold.
var ErrDiffers = fmt.Errorf("%w: it differs from the other servers of its slice", ErrSuspect)

// suspected is the fault that a database says of itself.
func suspected(why string) error {
	if rest, ok := strings.CutPrefix(why, ErrDiffers.Error()+": "); ok {
		return fmt.Errorf("%w: %s", ErrDiffers, rest)
	}
	return fmt.Errorf("%w: %s", ErrSuspect, strings.TrimPrefix(why, ErrSuspect.Error()+": "))
}

// differs is the name of the command that Differs makes. No server gets it.
const differs = "ibuki_differs"

// Differs makes a command that has its server be suspect: what it holds is not what the
// others of its slice hold. It is about one database, by its nonce: the one that the server
// is given in the place of it is not meant, although the log may come to this entry again.
func Differs(nonce, why string) *groonga.Command { return command(differs, "nonce", nonce, "why", why) }

// Nonce asks a server for the nonce of its database.
func Nonce() *groonga.Command { return command("config_get", "key", KeyNonce) }

// question reports whether an entry only asks: how the server stands at this position of the log.
func question(c *groonga.Command) bool {
	return c.Name == "select" && c.Get("load_table") == "" && c.Get("table") != "" || c.Name == "dump"
}

// found is the fault of the database if an entry says that it differs.
func (s *session) found(c *groonga.Command) error {
	if c.Name == differs && c.Get("nonce") == s.base.Nonce {
		return fmt.Errorf("%w: %s", ErrDiffers, c.Get("why"))
	}
	return nil
}
