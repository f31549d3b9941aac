// Package compare finds out whether the Groonga servers of a slice hold the same: the
// same tables and columns, the same records, the same entries in their indexes.
//
// A pass is fuzzy at first. It reads the tables page by page, from all servers at about
// the same time, while writes go on, and holds against each other what it has read. What
// then differs is asked for once more, and what still does at one position in the order
// of the writes, of all servers: only that counts.
//
// The package knows servers by an interface. Who asks them, how a position is found at
// which they can be compared, and what follows from a difference is its user's.
package compare
