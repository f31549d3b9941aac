package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"github.com/ibuki-dev/ibuki/rpc"
)

var keysCommand = &command{
	name:     "keys",
	synopsis: "Lists and changes the encryption keys of the cluster",
	help: `
Usage: {prog} keys [options]

  Lists or changes the keys that the members encrypt their traffic with. A change
  goes to all members; each has a ring of keys, of which all decrypt and one, the
  primary key, encrypts. What is done already is done again without harm.

  A new key takes three steps: install it, use it, and when every member does so,
  remove the old one.

  The exit code is 0 if all members have answered and none reported a failure, 1
  otherwise; what failed can be repeated. On a terminal it shows how long it takes.

Options:

  -install=KEY              Add a key to all rings. It decrypts from then on.
  -use=KEY                  Make an installed key the primary one.
  -remove=KEY               Take a key out of all rings, unless it is the primary
                            one.
  -list                     Show each key and on how many members it is.
` + rpcHelp,
	run: runKeys,
}

// keyAction is what one of the flags does, and what is said about it.
type keyAction struct {
	command                string
	begin, success, failed string
}

var (
	keyInstall = keyAction{rpc.InstallKey, "Installing key on all members...",
		"Successfully installed key!", "Error installing key"}
	keyUse = keyAction{rpc.UseKey, "Changing primary key on all members...",
		"Successfully changed primary key!", "Error changing primary key"}
	keyRemove = keyAction{rpc.RemoveKey, "Removing key on all members...",
		"Successfully removed key!", "Error removing key"}
	keyList = keyAction{rpc.ListKeys, "Asking all members for installed keys...",
		"Keys gathered, listing cluster keys...", "Failed to gather member keys"}
)

func runKeys(e *env, args []string) int {
	fs := e.flags()
	install := fs.String("install", "", "")
	use := fs.String("use", "", "")
	remove := fs.String("remove", "", "")
	list := fs.Bool("list", false, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil || e.extra() {
		return 1
	}
	var actions []keyAction
	var key string
	if *list {
		actions = append(actions, keyList)
	}
	for _, c := range []struct {
		key    string
		action keyAction
	}{{*install, keyInstall}, {*use, keyUse}, {*remove, keyRemove}} {
		if c.key != "" {
			actions, key = append(actions, c.action), c.key
		}
	}
	switch len(actions) {
	case 0:
		if e.asSerf() {
			return e.fail("%s", e.text(e.cmd.help))
		}
		return e.usage("Say one of -install, -use, -remove and -list.")
	case 1:
	default:
		return e.fail("Only one of -install, -use, -remove, or -list allowed")
	}
	ctx := context.Background()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	return doKeys(ctx, e, c, actions[0], key)
}

func doKeys(ctx context.Context, e *env, c *rpc.Client, action keyAction, key string) int {
	e.say("==> %s", action.begin)
	progress := e.showProgress("All members are asked")
	resp, err := c.Key(ctx, action.command, key)
	progress.stop()
	if err != nil {
		var rows [][]string
		for _, node := range slices.Sorted(maps.Keys(resp.Messages)) {
			rows = append(rows, []string{"failed:", node, resp.Messages[node]})
		}
		e.print(e.columns(rows))
		return e.fail("\n%s: %s", action.failed, err)
	}
	e.say("==> %s", action.success)
	if action.command == rpc.ListKeys {
		var rows [][]string
		for _, key := range slices.Sorted(maps.Keys(resp.Keys)) {
			rows = append(rows, []string{key, fmt.Sprintf("[%d/%d]", resp.Keys[key], resp.NumNodes)})
		}
		e.print("\n" + e.columns(rows))
	}
	return 0
}

// keygenBytes is the length of a new key: AES-256.
const keygenBytes = 32

var keygenCommand = &command{
	name:     "keygen",
	synopsis: "Makes a new encryption key",
	help: `
Usage: {prog} keygen

  Prints a new random key of 32 bytes in base64, as 'agent -encrypt', 'keys' and
  the keyring file want it.
`,
	run: runKeygen,
}

// runKeygen looks at no arguments, as Serf's.
func runKeygen(e *env, _ []string) int {
	var key [keygenBytes]byte
	_, _ = rand.Read(key[:]) // never fails
	e.say("%s", base64.StdEncoding.EncodeToString(key[:]))
	return 0
}
