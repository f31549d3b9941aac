// Package diagnose says what most likely is wrong with a cluster, from what its
// members know.
package diagnose
