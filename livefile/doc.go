// Package livefile is the live-node list as a file: written by those who know
// the cluster, read by those who only have the file.
//
// A Writer replaces the file atomically, so that it can be read at every moment,
// and only when the list in it changed. A List holds in memory what a file says,
// follows it as it changes, and keeps the last good list whatever becomes of the
// file. The two meet in nothing but the file: neither has to know the other.
package livefile
