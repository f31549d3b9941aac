// Package membertest has what tests of the log's members share.
package membertest
