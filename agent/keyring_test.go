package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// rawKey is a key of n equal bytes.
func rawKey(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func b64(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

func newRing(t *testing.T, file string, raw ...[]byte) *keyring {
	t.Helper()
	frame, err := newFrame(&Config{Keys: raw})
	if err != nil {
		t.Fatal(err)
	}
	k := &keyring{frame: new(atomic.Pointer[wire.Frame]), file: file}
	k.frame.Store(frame)
	return k
}

func TestKeyringChanges(t *testing.T) {
	a, b, c := rawKey(1, 16), rawKey(2, 24), rawKey(3, 32)
	for _, tc := range []struct {
		name, change string
		key          []byte
		want         [][]byte
		err          error
	}{
		{"install", serf.InstallKey, c, [][]byte{a, b, c}, nil},
		{"install again", serf.InstallKey, b, [][]byte{a, b}, nil},
		{"install, too short", serf.InstallKey, c[:15], [][]byte{a, b}, errKeySize},
		{"install, empty", serf.InstallKey, nil, [][]byte{a, b}, errKeySize},
		{"use", serf.UseKey, b, [][]byte{b, a}, nil},
		{"use again", serf.UseKey, a, [][]byte{a, b}, nil},
		{"use, unknown", serf.UseKey, c, [][]byte{a, b}, errKeyUnknown},
		{"use, no key", serf.UseKey, []byte("x"), [][]byte{a, b}, errKeyUnknown},
		{"remove", serf.RemoveKey, b, [][]byte{a}, nil},
		{"remove, in use", serf.RemoveKey, a, [][]byte{a, b}, errKeyPrimary},
		{"remove, unknown", serf.RemoveKey, c, [][]byte{a, b}, nil},
		{"remove, no key", serf.RemoveKey, []byte("x"), [][]byte{a, b}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keys.json")
			k := newRing(t, file, a, b)
			if err := k.change(tc.change, tc.key); err != tc.err {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			var want []string
			for _, key := range tc.want {
				want = append(want, b64(key))
			}
			keys, primary := k.List()
			if strings.Join(keys, " ") != strings.Join(want, " ") || primary != want[0] {
				t.Errorf("ring %q (%q), want %q", keys, primary, want)
			}
			if tc.err != nil {
				return
			}
			var kept []string
			text, err := os.ReadFile(file)
			if err != nil || json.Unmarshal(text, &kept) != nil || strings.Join(kept, " ") != strings.Join(want, " ") {
				t.Errorf("file %q, %v", text, err)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestKeyringIsBounded(t *testing.T) {
	k := newRing(t, "", rawKey(0, 16))
	for i := 1; i < maxKeys; i++ {
		if err := k.change(serf.InstallKey, append(rawKey(byte(i), 31), byte(i>>8))); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := k.change(serf.InstallKey, rawKey(9, 24)); err != errKeysMany {
		t.Error(err)
	}
	if err := k.change(serf.InstallKey, rawKey(0, 16)); err != nil {
		t.Error("one that is there:", err)
	}
}

// A key is confirmed only if it is kept: without the file nothing changes.
func TestP183_KeyringFileFails(t *testing.T) {
	dir := t.TempDir()
	k := newRing(t, filepath.Join(dir, "gone", "keys.json"), rawKey(1, 16))
	err := k.change(serf.InstallKey, rawKey(2, 16))
	if err == nil || !strings.HasPrefix(err.Error(), "Failed to write keyring file: ") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	if keys, _ := k.List(); len(keys) != 1 {
		t.Errorf("%q", keys)
	}
	// The old file is whole whatever happens to the new one, and nothing is left about.
	file := filepath.Join(dir, "keys.json")
	k.file = file
	if err := k.change(serf.InstallKey, rawKey(2, 16)); err != nil {
		t.Fatal(err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%v", list)
	}
}

func TestKeyringFileAtTheStart(t *testing.T) {
	key, other := rawKey(1, 32), rawKey(2, 16)
	write := func(t *testing.T, text string) string {
		file := filepath.Join(t.TempDir(), "keys.json")
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return file
	}
	for _, tc := range []struct {
		name, text string
		keys       [][]byte
		want       []string // of the ring
		fault      string
	}{
		{"two keys", `["` + b64(key) + `","` + b64(other) + `"]`, nil, []string{b64(key), b64(other)}, ""},
		{"a key twice", `["` + b64(key) + `","` + b64(key) + `"]`, nil, []string{b64(key)}, ""},
		{"the file counts", `["` + b64(other) + `"]`, [][]byte{key}, []string{b64(other)}, ""},
		{"made of the key", "", [][]byte{key}, []string{b64(key)}, ""},
		{"absent", "", nil, nil, "no such file or directory"},
		{"empty list", `[]`, nil, nil, "Keyring file contains no keys"},
		{"null", `null`, nil, nil, "Keyring file contains no keys"},
		{"not JSON", `{`, nil, nil, "Failed to decode keyring file: unexpected end of JSON input"},
		{"half", `["` + b64(key), nil, nil, "Failed to decode keyring file: unexpected end of JSON input"},
		{"not base64", `["zz"]`, nil, nil, "Failed to decode key from keyring: illegal base64 data at input byte 0"},
		{"short key", `["AAAA"]`, nil, nil, "Failed to restore keyring: key size must be 16, 24 or 32 bytes"},
		{"too many", `["` + strings.Repeat(`AAAA","`, maxKeys) + `AAAA"]`, nil, nil, "Failed to restore keyring: more than 256 keys"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := write(t, tc.text)
			synctest.Test(t, func(t *testing.T) {
				a, err := New(Config{Name: "a", Bind: netip.MustParseAddrPort("10.0.0.1:7946"), Listen: transporttest.NewMemNet().Listen,
					Keys: tc.keys, KeyringFile: file})
				if err != nil {
					t.Fatal(err)
				}
				defer a.Stop()
				if err = a.Start(t.Context()); tc.fault != "" {
					if err == nil || !strings.HasSuffix(err.Error(), tc.fault) || strings.Contains(err.Error(), "\n") {
						t.Errorf("%v, want %q", err, tc.fault)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if keys, _ := a.ring.List(); strings.Join(keys, " ") != strings.Join(tc.want, " ") || !a.Encrypted() {
					t.Errorf("%q, want %q", keys, tc.want)
				}
				if _, err := os.Stat(file); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What keys -install has confirmed is there after a restart.
func TestKeysOutliveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	one, two := rawKey(1, 16), rawKey(2, 32)
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		mod := func(c *Config) { c.Keys, c.KeyringFile = [][]byte{one}, file }
		a := memNode(t, net, "a", 1, mod)
		for _, step := range []struct {
			command string
			key     []byte
		}{{rpc.InstallKey, two}, {rpc.UseKey, two}, {rpc.RemoveKey, one}} {
			if _, err := a.Backend().Key(t.Context(), step.command, b64(step.key)); err != nil {
				t.Fatal(step.command, err)
			}
		}
		a.Stop()
		a = memNode(t, net, "a", 1, mod)
		defer a.Stop()
		resp, err := a.Backend().Key(t.Context(), rpc.ListKeys, "")
		if err != nil || len(resp.Keys) != 1 || resp.Keys[b64(two)] != 1 {
			t.Errorf("%+v, %v", resp, err)
		}
		time.Sleep(time.Second)
	})
}
