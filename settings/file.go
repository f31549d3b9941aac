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
// files take precedence.
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
	all := []error{err}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		all = list.Unwrap()
	}
	for i, fault := range all { // each is a line of its own
		if fault != nil {
			all[i] = fmt.Errorf("Error decoding '%s': %w", path, fault)
		}
	}
	return o, errors.Join(all...)
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
			if json.Unmarshal(f.value.text, field) != nil {
				f.value.diagnose(f.key, reflect.TypeOf(field), &faults, &unknown)
			}
			continue
		}
		unknown = append(unknown, f.unknown(f.key, slices.Sorted(maps.Keys(known))))
	}
	if len(unknown) > 0 {
		faults = append(faults, fmt.Errorf("invalid keys: %s", strings.Join(unknown, ", ")))
	}
	return o, errors.Join(faults...)
}

// jsonField is a key of an object with its value.
type jsonField struct {
	key   string
	place string // of the key
	value jsonValue
}

// jsonValue is a part of a file.
type jsonValue struct {
	text json.RawMessage
	file []byte
	at   int // of text in file
}

// place says where in a file something is.
func place(file []byte, at int) string {
	return fmt.Sprintf("line %d, column %d", 1+bytes.Count(file[:at], []byte("\n")), at-bytes.LastIndexByte(file[:at], '\n'))
}

// topFields takes the object apart.
func topFields(text []byte) (fields []jsonField, err error) {
	if cure := notJSON(text); cure != "" {
		return nil, errors.New(cure)
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(json.RawMessage)); errors.As(err, &syntax) && !strings.Contains(err.Error(), "after top-level value") {
		return nil, syntaxFault(text, int(syntax.Offset), err)
	}
	return jsonValue{text, text, 0}.fields()
}

// fields takes an object or a list apart; what is in a list has no keys.
func (v jsonValue) fields() (fields []jsonField, err error) {
	d := json.NewDecoder(bytes.NewReader(v.text))
	open, err := d.Token()
	for err == nil && d.More() {
		var f jsonField
		if open == json.Delim('{') {
			var key json.Token
			if key, err = d.Token(); err != nil {
				break
			}
			f.key, _ = key.(string)
			end := v.at + int(d.InputOffset())
			f.place = place(v.file, v.at+bytes.LastIndexByte(v.text[:end-v.at-1], '"'))
		}
		f.value.file = v.file
		err = d.Decode(&f.value.text)
		f.value.at = v.at + int(d.InputOffset()) - len(f.value.text)
		fields = append(fields, f)
	}
	return fields, err
}

// unknown names a key that there is not, where it is, and what may have been meant.
func (f *jsonField) unknown(path string, known []string) string {
	hint := ""
	if near := Nearest(strings.ToLower(f.key), known); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Sprintf("%s (%s%s)", path, f.place, hint)
}

// diagnose says what keeps v from being a value of type t: each part of it that is wrong, by
// its whole path.
func (v jsonValue) diagnose(path string, t reflect.Type, faults *[]error, unknown *[]string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	err := json.Unmarshal(v.text, reflect.New(t).Interface())
	if err == nil {
		return
	}
	before := len(*faults) + len(*unknown)
	fields, _ := v.fields()
	names := jsonNames(t)
	for i, f := range fields {
		switch field, ok := names[strings.ToLower(f.key)]; {
		case f.key == "" && t.Kind() == reflect.Slice:
			f.value.diagnose(fmt.Sprintf("%s[%d]", path, i), t.Elem(), faults, unknown)
		case f.key != "" && t.Kind() == reflect.Map:
			f.value.diagnose(path+"."+f.key, t.Elem(), faults, unknown)
		case f.key != "" && ok:
			f.value.diagnose(path+"."+f.key, field, faults, unknown)
		case f.key != "" && names != nil:
			*unknown = append(*unknown, f.unknown(path+"."+f.key, slices.Sorted(maps.Keys(names))))
		}
	}
	if before == len(*faults)+len(*unknown) { // it is not about a part
		*faults = append(*faults, fmt.Errorf("key '%s': %s (%s)", path, wanted(err), place(v.file, v.at)))
	}
}

// jsonNames are the types of a struct's fields by their names in JSON; nil for what is none.
func jsonNames(t reflect.Type) map[string]reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	names := make(map[string]reflect.Type)
	if t == reflect.TypeFor[TuningOptions]() { // its names are in a table
		for i := range constants {
			names[constants[i].key] = reflect.TypeOf(constants[i].value(new(TuningOptions)))
		}
	}
	for f := range t.Fields() {
		if name := f.Tag.Get("json"); name != "" {
			names[name] = f.Type
		}
	}
	return names
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
	if cure != "" {
		return fmt.Errorf("%s: %s (%w)", place(text, at), cure, err)
	}
	return fmt.Errorf("%s: %w", place(text, at), err)
}

// wanted says in an operator's words what a value was to be.
func wanted(err error) string {
	if rest, ok := strings.CutPrefix(err.Error(), "time: "); ok {
		return rest + `; a time has a unit, like "30s"`
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

// Nearest is the name that is at most two typing mistakes away, and not all another one; "" if
// there is none.
func Nearest(name string, all []string) string {
	best, near := min(3, len(name)), ""
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
