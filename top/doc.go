// Package top shows a cluster live on a terminal, as one agent knows it.
package top
