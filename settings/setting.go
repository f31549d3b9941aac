package settings

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/agent"
)

// setting is all that there is to know of one setting. The rows of table are the only
// place where it stands: flags, the environment, files, what takes precedence, the help
// text, completions, manual pages and docs/configuration.md are made of them.
type setting struct {
	key  string // in files; in the environment with EnvPrefix; "" of what is a flag only
	flag string // without the dash; "" if there is none
	arg  string // the flag's value as the help shows it, "" of a switch

	value func(*Options) any      // the field that keeps it
	into  func(*agent.Config) any // the field that takes it as it is; nil: Options.Config knows more

	standard string // the default, as the page has it
	help     string // what it does, for the help text
	page     string // the same for docs/configuration.md, if it has more to say

	ours     bool // Serf does not have it
	reloaded bool // a reload applies it
	secret   bool // not to be shown
	whole    bool // a list that replaces the one of less precedence; others grow
}

func concat(tables ...[]setting) []setting { return slices.Concat(tables...) }

// keyed are the settings that files have, parts of objects ("mdns.interface") left out.
func keyed() (list []*setting) {
	for i := range table {
		if s := &table[i]; s.key != "" && !strings.Contains(s.key, ".") {
			list = append(list, s)
		}
	}
	return list
}

// Keys are the names of all settings in files, in the order of the table.
func Keys() (keys []string) {
	for _, s := range keyed() {
		keys = append(keys, s.key)
	}
	return keys
}

// fields are pointers to the fields of o by their keys in lower case.
func (o *Options) fields() map[string]any {
	all := make(map[string]any)
	for _, s := range keyed() {
		all[strings.ToLower(s.key)] = s.value(o)
	}
	return all
}

// Merge lets other, which takes precedence, override o: lists grow, tags are united.
func (o Options) Merge(other Options) Options {
	for _, s := range keyed() {
		s.merge(s.value(&o), s.value(&other))
	}
	return o
}

// merge overrides what to points to, if from points to anything but zero. It does not
// write into maps and slices that others may hold.
func (s *setting) merge(to, from any) {
	old, given := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	switch {
	case isUnset(given):
	case given.Kind() == reflect.Struct: // an object: each of its parts by itself
		for i := range given.NumField() {
			if f := given.Field(i); !f.IsZero() {
				old.Field(i).Set(f)
			}
		}
	case given.Kind() == reflect.Slice && !s.whole:
		old.Set(reflect.AppendSlice(reflect.AppendSlice(reflect.MakeSlice(old.Type(), 0, old.Len()+given.Len()), old), given))
	case given.Kind() == reflect.Map:
		all := maps.Clone(old.Interface().(map[string]string))
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, given.Interface().(map[string]string))
		old.Set(reflect.ValueOf(all))
	default:
		old.Set(given)
	}
}

// isUnset reports whether a field has not been given: it is zero, or an empty list.
func isUnset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

// copyInto sets what is given in c, where the setting is taken as it is. A switch that is
// on unless it is turned off has a field that says the opposite.
func (s *setting) copyInto(o *Options, c *agent.Config) {
	if s.into == nil {
		return
	}
	to := s.into(c)
	switch from := s.value(o).(type) {
	case **bool:
		*to.(*bool) = isFalse(*from)
	case *Duration:
		*to.(*time.Duration) = time.Duration(*from)
	default:
		to := reflect.ValueOf(to).Elem()
		to.Set(reflect.ValueOf(from).Elem().Convert(to.Type()))
	}
}

// NeedRestart are the keys in which the options differ and which a reload does
// not apply, in the order of the table.
func (o Options) NeedRestart(other Options) (keys []string) {
	for _, s := range keyed() {
		a, b := reflect.ValueOf(s.value(&o)).Elem(), reflect.ValueOf(s.value(&other)).Elem()
		if s.reloaded || a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			keys = append(keys, s.key)
		}
	}
	return keys
}
