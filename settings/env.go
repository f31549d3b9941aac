package settings

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the names of environment variables that stand for keys of the
// configuration: IBUKI_NODE_NAME is node_name.
const EnvPrefix = "IBUKI_"

// EnvName is the environment variable of a key.
func EnvName(key string) string { return EnvPrefix + strings.ToUpper(key) }

// FromEnviron are the settings that the environment ("NAME=value" each) holds. Texts
// and times are written as they are, numbers, truth values, lists and objects as in
// JSON; one text is a list of one. Empty variables count as not set.
func FromEnviron(environ []string) (o Options, err error) {
	known := o.fields()
	names := make(map[string]string, len(known)) // variable → key
	for key := range known {                     // order-free: an index
		names[EnvName(key)] = key
	}
	var faults []error
	sorted := slices.Sorted(slices.Values(environ))
	for _, pair := range sorted {
		name, value, _ := strings.Cut(pair, "=")
		key, ok := names[name]
		if !ok || value == "" {
			continue
		}
		if err := setFromEnv(known[key], value); err != nil {
			faults = append(faults, fmt.Errorf("Error in the environment: %s: %w", name, err))
		}
	}
	return o, errors.Join(faults...)
}

// setFromEnv sets a field of Options.
func setFromEnv(field any, value string) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, isText := field.(encoding.TextUnmarshaler)
	kind := reflect.TypeOf(field).Elem().Kind()
	switch {
	case isText, kind == reflect.String:
		return json.Unmarshal(text, field)
	case kind == reflect.Slice && !strings.HasPrefix(strings.TrimSpace(value), "["):
		return json.Unmarshal(append(append([]byte{'['}, text...), ']'), field)
	}
	return json.Unmarshal([]byte(value), field)
}
