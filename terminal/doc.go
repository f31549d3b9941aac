// Package terminal is what the programs on a person's terminal share: whether
// there is one, tables, and the colours of a member's states.
package terminal
