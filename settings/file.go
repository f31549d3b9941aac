package settings

import (
	"bytes"
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

// Read reads JSON files, and of directories every *.json in them, by name. Later
// files count more.
func Read(paths []string) (Options, error) {
	var all Options
	var faults []error
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
			o, err := readFile(f)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			all = all.Merge(o)
		}
	}
	return all, errors.Join(faults...)
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

func readFile(path string) (Options, error) {
	f, err := os.Open(path)
	if err != nil {
		return Options{}, fmt.Errorf("Error reading '%s': %w", path, err)
	}
	defer f.Close()
	o, err := Decode(io.LimitReader(f, maxConfigFile))
	if err != nil {
		return o, fmt.Errorf("Error decoding '%s': %w", path, err)
	}
	return o, nil
}

// Decode reads one JSON object. Keys that do not exist are refused by
// name, all of them at once; letter case does not matter. What is wrong is said with the
// line that it is in.
func Decode(r io.Reader) (o Options, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return o, err
	}
	fields, err := topFields(text)
	if err != nil {
		return o, err
	}
	known := o.fields()
	var faults []error
	var unknown []string
	for _, f := range fields {
		if field, ok := known[strings.ToLower(f.key)]; ok {
			faults = append(faults, f.decode(field)...)
			continue
		}
		name := f.key
		if near := Nearest(strings.ToLower(name), slices.Sorted(maps.Keys(known))); near != "" {
			name += fmt.Sprintf(" (line %d; did you mean %s?)", f.line, near)
		}
		unknown = append(unknown, name)
	}
	if len(unknown) > 0 {
		faults = append(faults, fmt.Errorf("invalid keys: %s", strings.Join(unknown, ", ")))
	}
	return o, errors.Join(faults...)
}

// topField is a key of the object with its value, and the line that the key is in.
type topField struct {
	key  string
	text json.RawMessage
	line int
}

// topFields takes the object apart.
func topFields(text []byte) (fields []topField, err error) {
	if cure := notJSON(text); cure != "" {
		return nil, errors.New(cure)
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(json.RawMessage)); errors.As(err, &syntax) && !strings.Contains(err.Error(), "after top-level value") {
		return nil, syntaxFault(text, int(syntax.Offset), err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	_, err = d.Token()
	for err == nil && d.More() {
		var key json.Token
		if key, err = d.Token(); err != nil {
			break
		}
		f := topField{line: 1 + bytes.Count(text[:d.InputOffset()], []byte("\n"))}
		f.key, _ = key.(string)
		err = d.Decode(&f.text)
		fields = append(fields, f)
	}
	return fields, err
}

// notJSON says what a text is that does not begin as a JSON object, "" if it does.
func notJSON(text []byte) string {
	rest := bytes.TrimLeft(text, " \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return "it begins with a byte-order mark: save it as UTF-8 without one"
	case len(rest) == 0:
		return "unexpected EOF: it is empty; the least is {}"
	case rest[0] == '{':
		return ""
	case bytes.HasPrefix(rest, []byte("//")), bytes.HasPrefix(rest, []byte("/*")), rest[0] == '#' && bytes.Contains(rest, []byte("{")):
		return "JSON has no comments"
	case rest[0] == '[':
		return "it is a JSON array, as a keyring file is; configuration is an object: {\"key\": value}"
	}
	return "it is no JSON; is it YAML? Configuration is a JSON object: {\"key\": value}"
}

// syntaxFault says where JSON is broken, and how to mend what is often broken.
func syntaxFault(text []byte, read int, err error) error {
	at := max(read-1, 0) // of the last byte that was read
	if strings.Contains(err.Error(), "unexpected end") {
		at = len(text)
	}
	cure := ""
	before := bytes.TrimRight(text[:at], " \t\r\n")
	switch rest := text[at:]; {
	case bytes.HasPrefix(rest, []byte("//")), bytes.HasPrefix(rest, []byte("/*")), bytes.HasPrefix(rest, []byte("#")):
		cure = "JSON has no comments"
	case len(rest) > 0 && (rest[0] == '}' || rest[0] == ']') && bytes.HasSuffix(before, []byte(",")):
		cure = "there is a comma before the closing bracket"
	case len(rest) > 0 && rest[0] == '\'':
		cure = "texts are in double quotes"
	case len(rest) == 0:
		cure = "it ends too early: a bracket or a quote is not closed"
	}
	line := 1 + bytes.Count(text[:at], []byte("\n"))
	column := at - bytes.LastIndexByte(text[:at], '\n')
	if cure != "" {
		return fmt.Errorf("line %d, column %d: %s (%w)", line, column, cure, err)
	}
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

// decode reads the value into a field. Of tags each one is read by itself, so that all that
// are wrong are named.
func (f *topField) decode(into any) (faults []error) {
	fault := func(path string, err error) {
		faults = append(faults, fmt.Errorf("key '%s': %s (line %d)", path, wanted(err), f.line))
	}
	tags, ok := into.(*map[string]string)
	var each map[string]json.RawMessage
	if !ok || json.Unmarshal(f.text, &each) != nil {
		if err := json.Unmarshal(f.text, into); err != nil {
			path := f.key
			if e := new(json.UnmarshalTypeError); errors.As(err, &e) && e.Field != "" {
				path += "." + e.Field
			}
			fault(path, err)
		}
		return faults
	}
	*tags = make(map[string]string, len(each))
	for _, key := range slices.Sorted(maps.Keys(each)) {
		var value string
		if err := json.Unmarshal(each[key], &value); err != nil {
			fault(f.key+"."+key, err)
		}
		(*tags)[key] = value
	}
	return faults
}

// wanted says in an operator's words what a value was to be.
func wanted(err error) string {
	if strings.Contains(err.Error(), "missing unit in duration") {
		return err.Error() + `; a time has a unit, like "30s"`
	}
	e := new(json.UnmarshalTypeError)
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Type.Kind() == reflect.Pointer {
		e.Type = e.Type.Elem()
	}
	what := ""
	switch {
	case e.Type == reflect.TypeFor[Duration]():
		what = `a time in quotes, like "30s",`
	case e.Type.Kind() == reflect.String:
		what = "a text in quotes"
	case e.Type.Kind() == reflect.Bool:
		what = "true or false, without quotes,"
	case e.Type.Kind() >= reflect.Int && e.Type.Kind() <= reflect.Uint64:
		what = "a whole number, without quotes,"
	case e.Type.Kind() == reflect.Slice:
		what = "a list in square brackets"
	case e.Type.Kind() == reflect.Map, e.Type.Kind() == reflect.Struct:
		what = "an object in braces"
	default:
		return err.Error()
	}
	return fmt.Sprintf("%s is wanted, not a JSON %s", what, e.Value)
}

// Nearest is the name that is at most two typing mistakes away, "" if there is none.
func Nearest(name string, all []string) string {
	best, near := 3, ""
	for _, other := range all {
		if d := mistakes(name, other); d < best {
			best, near = d, other
		}
	}
	return near
}

// mistakes is how many characters have to be changed, added, removed or swapped with
// their neighbour to make b of a.
func mistakes(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
		for j := range rows[i] {
			if i == 0 {
				rows[0][j] = j
				continue
			}
			if j == 0 {
				continue
			}
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
