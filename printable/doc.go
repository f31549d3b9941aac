// Package printable makes text from the network fit to be shown: names, tags and
// payloads can hold what moves a terminal's cursor, ends a line or reverses it.
package printable
