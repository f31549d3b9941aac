// Package broadcast is the queue of messages that wait to be passed on: each is
// given out a limited number of times, the least sent first, and a newer one of
// a name replaces an older one. It knows neither what the messages mean nor who
// sends them. It is pure, as swim is.
package broadcast
