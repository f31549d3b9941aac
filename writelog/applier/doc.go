// Package applier applies the committed entries of a replicated log of writes to one
// Groonga server (a volume): in order, and exactly once as far as Groonga allows it.
//
// How far it has come is kept in the database itself, under configuration keys that begin
// with "ibuki." (Position), so that a database that was emptied, swapped or put back says so.
// What may be done twice is done again after a crash; of what may not, an intent is written
// down first, and the database is asked afterwards what came of it (Intent). What
// cannot be decided makes the volume suspect: it has to be filled from another one.
//
// Order is by table group: tables that refer to each other, or share a lexicon, are in one.
// Groups do not wait for each other. An Applier begins by fencing the server: lock_clear, then
// thread_limit max=1, which waits for what runs, then the position, then the old limit.
//
// The package knows nothing of HTTP, of Raft or of the gateway: a Server takes commands, a
// Source has the log, Events hears what comes of it. What is decided is in pure files (position,
// groups, tables, class, batch, intent, queue, judge, reserved); session and work are the
// goroutines around them.
package applier
