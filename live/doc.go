// Package live is the live-node list: the answer to "who is alive" as a value,
// for everything that needs the answer and not the protocol.
//
// A View is an immutable snapshot. A List folds member events into Views; anybody
// may read the current one without a lock, or watch for newer ones without ever
// holding up the publisher. A Rendering writes a View in one of the formats that lists
// have in files, and Parse reads one; package livefile keeps the files.
package live
