// Package member runs one gateway's part of the replicated log of writes: the loop
// around the machine of package writelog, its log on disk, what members send to each
// other, how the first of them form a group, and how a write of a client is proposed
// until its outcome is known.
//
// The loop owns the machine. It waits for the first of message, command and tick,
// takes what else is there, and carries out the output; everything else hands it
// functions. The disk is the loop's: a member whose disk does not answer is one that
// the others do without.
package member
