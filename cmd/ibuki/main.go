// Command ibuki tells every node of a cluster which nodes are alive.
package main

import "os"

func main() {
	if code, done := firstProcess(os.Args, os.Stderr); done {
		os.Exit(code)
	}
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
