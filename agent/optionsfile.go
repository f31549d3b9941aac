package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxConfigFile bounds what is read of one configuration file, in bytes.
const maxConfigFile = 16 << 20

// ReadOptions reads JSON files, and of directories every *.json in them, by name. Later
// files count more.
func ReadOptions(paths []string) (Options, error) {
	var all Options
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return all, fmt.Errorf("Error reading '%s': %w", path, err)
		}
		files := []string{path}
		if info.IsDir() {
			if files, err = jsonFiles(path); err != nil {
				return all, fmt.Errorf("Error reading '%s': %w", path, err)
			}
		}
		for _, f := range files {
			o, err := readOptionsFile(f)
			if err != nil {
				return all, err
			}
			all = all.Merge(o)
		}
	}
	return all, nil
}

func jsonFiles(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir) // sorted by name
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".json") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}

func readOptionsFile(path string) (Options, error) {
	f, err := os.Open(path)
	if err != nil {
		return Options{}, fmt.Errorf("Error reading '%s': %w", path, err)
	}
	defer f.Close()
	o, err := DecodeOptions(io.LimitReader(f, maxConfigFile))
	if err != nil {
		return o, fmt.Errorf("Error decoding '%s': %w", path, err)
	}
	return o, nil
}

// DecodeOptions reads one JSON object. Keys that do not exist are refused by
// name, all of them at once; letter case does not matter.
func DecodeOptions(r io.Reader) (o Options, err error) {
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(r).Decode(&fields); err != nil {
		return o, err
	}
	known := optionFields(&o)
	var faults []error
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		field, ok := known[strings.ToLower(key)]
		if !ok {
			unknown = append(unknown, key)
			continue
		}
		if err := json.Unmarshal(fields[key], field); err != nil {
			faults = append(faults, fmt.Errorf("key '%s': %w", key, err))
		}
	}
	if len(unknown) > 0 {
		faults = append(faults, fmt.Errorf("invalid keys: %s", strings.Join(unknown, ", ")))
	}
	return o, errors.Join(faults...)
}

// optionFields are pointers to the fields of o by their names in JSON.
func optionFields(o *Options) map[string]any {
	v := reflect.ValueOf(o).Elem()
	fields := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		fields[strings.ToLower(v.Type().Field(i).Tag.Get("json"))] = v.Field(i).Addr().Interface()
	}
	return fields
}
