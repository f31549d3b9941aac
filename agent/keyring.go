package agent

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/atomicfile"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// keyChangesWaiting is how many changes of the keyring may wait for the file.
	keyChangesWaiting = 64
	// maxKeyringFile bounds what is read of a keyring file, in bytes.
	maxKeyringFile = 1 << 20
	// maxKeys is how many keys a ring may hold. What no key opens is tried with all
	// of them, whoever sent it.
	maxKeys = 256
)

// keyring changes the frame's keys, and keeps them in a file if there is one. Senders and
// readers only load the frame. The file is written first: what a node has
// confirmed, it still knows after a restart (P183).
type keyring struct {
	frame *atomic.Pointer[wire.Frame]
	file  string     // "": none
	mu    sync.Mutex // held while the frame is changed
}

var _ serf.Keyring = (*keyring)(nil)

// The texts are Serf's; they are shown by keys on whichever node.
var (
	errKeySize    = errors.New("key size must be 16, 24 or 32 bytes")
	errKeyUnknown = errors.New("requested key is not in the keyring")
	errKeyPrimary = errors.New("removing the primary key is not allowed")
	errKeysMany   = fmt.Errorf("keyring is full: it has %d keys", maxKeys)
)

// setupError is an ErrSetup with the text of what is wrong.
type setupError struct{ error }

func (e setupError) Unwrap() []error { return []error{ErrSetup, e.error} }

// List returns all keys in base64.
func (k *keyring) List() (keys []string, primary string) {
	keys = encodeKeys(k.frame.Load().Keys)
	return keys, keys[0]
}

func encodeKeys(keys []wire.Key) []string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = base64.StdEncoding.EncodeToString(key.Bytes())
	}
	return out
}

// change does what a key query wants.
func (k *keyring) change(name string, raw []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := *k.frame.Load()
	keys, err := changedKeys(f.Keys, name, raw)
	if err != nil {
		return err
	}
	// Written even if nothing changed: the file may have been lost.
	if err := k.write(keys); err != nil {
		return err
	}
	f.Keys = keys
	k.frame.Store(&f)
	return nil
}

// changedKeys is the ring after a change. What is there already, or gone already,
// is no fault; nor is, as in Serf, the removal of what cannot be a key.
func changedKeys(keys []wire.Key, name string, raw []byte) ([]wire.Key, error) {
	i := slices.IndexFunc(keys, func(k wire.Key) bool { return slices.Equal(k.Bytes(), raw) })
	switch name {
	case serf.InstallKey:
		key, err := wire.NewKey(raw)
		switch {
		case err != nil:
			return nil, errKeySize
		case i >= 0:
			return keys, nil
		case len(keys) >= maxKeys:
			return nil, errKeysMany
		}
		return append(slices.Clone(keys), key), nil
	case serf.UseKey:
		if i < 0 {
			return nil, errKeyUnknown
		}
		rest := slices.Delete(slices.Clone(keys), i, i+1)
		return slices.Insert(rest, 0, keys[i]), nil
	case serf.RemoveKey:
		switch {
		case i == 0:
			return nil, errKeyPrimary
		case i < 0:
			return keys, nil
		}
		return slices.Delete(slices.Clone(keys), i, i+1), nil
	}
	panic("agent: no such change of a keyring: " + name)
}

// verify sets whether plain messages are refused, and whether all are sealed.
func (k *keyring) verify(incoming, outgoing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := *k.frame.Load()
	f.VerifyIncoming, f.VerifyOutgoing = incoming, outgoing
	k.frame.Store(&f)
}

// write replaces the file as a whole.
func (k *keyring) write(keys []wire.Key) error {
	if k.file == "" {
		return nil
	}
	b, err := json.MarshalIndent(encodeKeys(keys), "", "  ")
	if err == nil {
		_, err = atomicfile.Replace(k.file, b, 0o600, false)
	}
	if err != nil {
		return fmt.Errorf("Failed to write keyring file: %w", err)
	}
	return nil
}

// loadKeyring takes the keys from the keyring file. If that is not there, the
// key from the configuration becomes its first; if it is, the file counts:
// the key in the configuration is older.
func (a *Agent) loadKeyring() error {
	path := a.cfg.KeyringFile
	if path == "" {
		return nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && len(a.cfg.Keys) > 0 {
		frame, err := newFrame(&a.cfg)
		if err != nil {
			return err
		}
		a.logger.Info("agent: Keyring file created: " + path)
		return (&keyring{file: path}).write(frame.Keys)
	}
	if err != nil {
		return err
	}
	b, err := readKeyring(path)
	if err != nil {
		return fmt.Errorf("Failed to read keyring file: %w", err)
	}
	keys, err := decodeKeyring(b)
	if err != nil {
		return err
	}
	if len(a.cfg.Keys) > 0 && !slices.ContainsFunc(keys, func(k []byte) bool { return slices.Equal(k, a.cfg.Keys[0]) }) {
		a.logger.Warn("agent: the encryption key of the configuration is not in the keyring file, which takes precedence: " + path)
	}
	a.cfg.Keys = keys
	a.logger.Info(fmt.Sprintf("agent: Restored keyring with %d keys from %s", len(keys), path))
	return nil
}

func readKeyring(path string) ([]byte, error) {
	f, err := atomicfile.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyringFile))
}

// decodeKeyring reads a keyring file: a JSON list of keys in base64, of which the
// first one seals. The texts are Serf's.
func decodeKeyring(b []byte) ([][]byte, error) {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("Failed to decode keyring file: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("Keyring file contains no keys")
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("Failed to restore keyring: more than %d keys", maxKeys)
	}
	var keys [][]byte
	for _, s := range list {
		key, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("Failed to decode key from keyring: %w", err)
		}
		if _, err := wire.NewKey(key); err != nil {
			return nil, fmt.Errorf("Failed to restore keyring: %w", errKeySize)
		}
		if !slices.ContainsFunc(keys, func(k []byte) bool { return slices.Equal(k, key) }) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// queueKeyChange is called by the loop, which must not wait for a file.
func (a *Agent) queueKeyChange(k *serf.KeyChange) {
	select {
	case a.keyChanges <- *k:
	default: // the asker sees that an answer is missing
		a.logger.Error("agent: a change of the keyring was dropped, too many are waiting: " + k.Name)
	}
}

// changeKeys does the changes, one after the other.
func (a *Agent) changeKeys() {
	for {
		select {
		case k := <-a.keyChanges:
			err := a.ring.change(k.Name, k.Key)
			_ = a.doErr(func(now time.Time) error { a.machine.KeyChanged(now, &k, err); return nil })
		case <-a.ctx.Done():
			return
		}
	}
}
