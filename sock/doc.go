// Package sock makes TCP connections that cost little where there is one a request:
// their calls do not wait in the kernel, and so Go's scheduler is not told of them. It
// is told of other calls, since they might last; to look after those, a thread of
// the runtime's wakes every 20 µs, and a processor is handed from thread to thread.
// Measured for a gateway before Groonga servers, that was a fifth of its time (ADR 20).
//
// Elsewhere than on Linux these are the net package's connections.
package sock
