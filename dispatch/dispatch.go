package dispatch

import (
	"context"
)

// Doer is what the fronts need of a Dispatcher.
type Doer interface {
	// Do delivers a command and returns the answer for the client. The command is
	// not changed and not kept. The error is one of the faults of delivery (answer.go)
	// or of ctx; an answer of Groonga's with a return code is none.
	Do(ctx context.Context, c *Command) (Answer, error)
}
