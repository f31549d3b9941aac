// Package backup is the form of a backup: a folder with one Groonga dump for each slice, which Groonga's own tools
// read, and a manifest that says where in the log of writes they were taken, how many records they have, and their
// checksums. Write makes a file of a server's dump, Open checks a folder, Restore brings it into a cluster by
// commands, so that the records go to whatever slices that has.
package backup
