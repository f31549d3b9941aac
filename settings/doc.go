// Package settings is what users may set of an agent, and where: on the command line, in
// the environment and in files. One table has a row for each setting (setting.go says what
// is in it); the flags, the environment's names, the keys of files, what takes precedence,
// the help text and docs/configuration.md are made of these rows. Options.Config checks
// what was given and makes an agent.Config of it.
package settings
