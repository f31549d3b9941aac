// Package atomicfile is how the agent and its commands write files that users name: a
// regular file and nothing else, replaced in one step, by way of a name beside it that
// nobody can guess or prepare. What is a device, a pipe, a socket or a folder is refused;
// a link is followed only if it belongs to root or to the user who runs the program, so
// that a folder that others may write to leads nowhere.
package atomicfile
