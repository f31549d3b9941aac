// Package fill makes one Groonga server a copy of another one, by commands alone: it empties the database, and
// brings in what the other one's dump says, records in large pieces. The dump is read at the speed of its server and
// waits in a file, so that whoever must not change that server's data meanwhile waits for the dump alone.
//
// The package knows neither the log nor the gateway: a Server takes commands, a dump is a stream. Schedule decides
// when a server is filled.
package fill
