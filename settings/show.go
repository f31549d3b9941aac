package settings

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// notShown stands for the value of a secret.
const notShown = "(not shown)"

// MarshalText writes what Set reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// NonZero are the settings of o that have been given, by key, in JSON; secrets are not
// shown.
func NonZero(o Options) map[string]string {
	given := make(map[string]string)
	for _, s := range keyed() {
		v := reflect.ValueOf(s.value(&o)).Elem()
		if isUnset(v) {
			continue
		}
		value, err := json.Marshal(v.Interface())
		switch {
		case s.secret:
			given[s.key] = notShown
		case err != nil:
			given[s.key] = fmt.Sprintf("%q", fmt.Sprint(v.Interface()))
		default:
			given[s.key] = string(value)
		}
	}
	return given
}
