// Package catalog reads Droonga's catalog.json: which datasets there are, which
// replicas and slices hold their data, on which nodes, and to which of them a
// message or a record goes.
//
// It is pure: bytes in, a tree and addresses out. Who is alive is handed in (Live),
// and so is the randomness of a random choice.
//
// A Dataset is a tree of Volumes, as the file has it. What a deliverer wants to
// know is simpler: into which Parts the data is cut, and which addresses hold all
// of a part. That is a Layout. Replicas that are cut alike share one, however they
// are nested.
package catalog
