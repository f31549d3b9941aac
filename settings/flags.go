package settings

import (
	"errors"
	"flag"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/livefile"
)

// Flags are what the command line says.
type Flags struct {
	Options Options
	Paths   []string // configuration files and folders of such, in their order

	late []func() error // what is read once all flags have been
}

// NewFlags defines all settings that have a flag in fs. After fs has parsed the command
// line, Finish has to be called.
func NewFlags(fs *flag.FlagSet) *Flags {
	f := &Flags{}
	for i := range table {
		if s := &table[i]; s.flag != "" {
			f.define(fs, s)
		}
	}
	return f
}

// define defines one flag. Its usage is in the help text.
func (f *Flags) define(fs *flag.FlagSet, s *setting) {
	if s.value == nil {
		fs.Var((*list)(&f.Paths), s.flag, "")
		return
	}
	switch to := s.value(&f.Options).(type) {
	case *string:
		fs.StringVar(to, s.flag, "", "")
	case *int:
		fs.IntVar(to, s.flag, 0, "")
	case *bool:
		fs.BoolVar(to, s.flag, false, "")
	case **bool:
		f.defineSwitch(fs, s, to)
	case *Duration: // Serf reports a wrong one after all others, in words of its own
		text := fs.String(s.flag, "", "")
		f.late = append(f.late, func() error {
			if err := to.Set(*text); err != nil {
				return &FlagError{Flag: s.flag, Text: *text, err: err}
			}
			return nil
		})
	case *[]string:
		fs.Var((*list)(to), s.flag, "")
	case *[]livefile.Spec:
		fs.Var((*specs)(to), s.flag, "")
	case *map[string]string:
		var pairs list
		fs.Var(&pairs, s.flag, "")
		f.late = append(f.late, func() (err error) { *to, err = ParseTags(pairs); return err })
	default:
		panic("settings: -" + s.flag + " is of no kind that a flag can have")
	}
}

// defineSwitch defines what is on unless it is turned off: as a switch of two states, or,
// if the help shows no value, as one that turns it off.
func (f *Flags) defineSwitch(fs *flag.FlagSet, s *setting, to **bool) {
	if s.arg != "" {
		fs.Var(toggle{to}, s.flag, "")
		return
	}
	off := fs.Bool(s.flag, false, "")
	f.late = append(f.late, func() error {
		if *off {
			*to = new(bool)
		}
		return nil
	})
}

// Finish reads the values that fs has kept as text. It returns the first fault.
func (f *Flags) Finish() error {
	for _, read := range f.late {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// FlagError is a time that is none. Its text is Serf's.
type FlagError struct {
	Flag, Text string
	err        error
}

func (e *FlagError) Error() string { return e.err.Error() }

// list is a flag that may be given more than once. A value is never split.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// specs are files of the live-node list, one each time.
type specs []livefile.Spec

func (*specs) String() string { return "" }

func (s *specs) Set(v string) error {
	spec, err := livefile.ParseSpec(v)
	*s = append(*s, spec)
	return err
}

// toggle is a flag that is on, off or not given.
type toggle struct{ to **bool }

func (toggle) IsBoolFlag() bool { return true }

func (t toggle) String() string {
	if t.to == nil || *t.to == nil {
		return ""
	}
	return strconv.FormatBool(**t.to)
}

func (t toggle) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("parse error") // the flag package's own words
	}
	*t.to = &v
	return nil
}
