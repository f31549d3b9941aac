package catalog

import (
	"fmt"
	"strings"
)

// maxFaults is how many faults of one catalog are told one by one.
const maxFaults = 100

// Fault is one thing that is wrong with a catalog.
type Fault struct {
	// Path is where: "datasets.Default.replicas[0].address"; "" is the whole
	// document. A name that is no plain word is in brackets: datasets["a.b"].
	Path string
	// Message is what is wrong, and where it helps what would be right.
	Message string
}

// String is the fault in one line.
func (f Fault) String() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// InvalidError is all that is wrong with a catalog, in the order of the document.
type InvalidError struct {
	Faults []Fault
	More   int // how many further ones were not kept
}

// Error has a line for each fault.
func (e *InvalidError) Error() string {
	lines := make([]string, 0, len(e.Faults)+1)
	for _, f := range e.Faults {
		lines = append(lines, f.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// faults collects.
type faults struct {
	list []Fault
	more int
}

// at notes a fault of v.
func (f *faults) at(v *value, format string, args ...any) {
	f.add(v.path(), format, args...)
}

func (f *faults) add(path, format string, args ...any) {
	if len(f.list) == maxFaults {
		f.more++
		return
	}
	f.list = append(f.list, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// err is what was collected, nil if nothing.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return &InvalidError{Faults: f.list, More: f.more}
}
