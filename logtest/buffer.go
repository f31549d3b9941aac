// Package logtest helps the tests of programs that write a log.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Buffer is an output that a test may read while others write to it. The zero value is
// empty and ready to use; a Buffer must not be copied after its first use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends p. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Contains reports whether s was written so far.
func (b *Buffer) Contains(s string) bool { return strings.Contains(b.String(), s) }
