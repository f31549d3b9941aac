// Package lab makes clusters of real agents on this machine, for a person to break
// or for a script to play through, and leaves nothing behind.
package lab
