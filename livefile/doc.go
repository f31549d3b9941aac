// Package livefile keeps the live-node list in files: an agent or an event handler
// writes them, and programs that know nothing of the cluster read them.
//
// A Target is one file with its format. A Keeper belongs to an agent: it writes all
// targets in a goroutine of its own, so that a slow disk delays nobody, and carries out
// the operators' orders (to exclude a node, to include it again). Target.Update does it
// once, for an event handler. Both replace the file atomically and only if the list
// in it has changed.
//
// A List is the reader: it holds in memory what a file says, follows the file as it
// changes, and keeps the last good list if the file is broken or missing. Writer and
// reader share nothing but the file.
package livefile
