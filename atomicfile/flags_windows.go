package atomicfile

import "io/fs"

const (
	openFlags   = 0
	noWait      = 0
	chmodNeeded = false // modes say little here
)

// trusted: to make a link takes a right of its own here.
func trusted(fs.FileInfo) bool { return true }
