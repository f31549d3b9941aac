// Package transporttest is a network in memory: the twin of the sockets of package
// transport, for tests. All of its waiting is on channels and timers, so that whole
// clusters run on it under virtual time.
package transporttest
