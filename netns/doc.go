// Package netns makes networks of hosts for tests, each host a network namespace of
// Linux.
package netns
