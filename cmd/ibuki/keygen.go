package main

import (
	"crypto/rand"
	"encoding/base64"
)

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
