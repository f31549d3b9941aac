// Command ibuki tells every node of a cluster which nodes are alive.
package main

import "os"

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
