package groonga

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Keys is how a table makes keys of what it is given. What makes one key has to be placed
// alike, however it is written: 7, 7.0 and "007" are one key of a table of integers, "ABC"
// and "abc" one of a table with a normalizer.
type Keys struct {
	Type       string // "ShortText", "Int32", …; "" if the table has no keys, or nothing is known of it
	Normalizer string // as the normalizer argument of table_create has it; "": none
	// Normalized is what the normalizer makes of texts that Unknown has named.
	Normalized map[string]string
}

// KeysCommand asks for what ReadKeys reads.
func KeysCommand(table string) *Command {
	return &Command{Name: "dump", Args: []Arg{{"tables", table}, {"dump_plugins", "no"}, {"dump_records", "no"}, {"dump_indexes", "no"}, {"dump_configs", "no"}}}
}

// ReadKeys reads how a table makes keys from the answer to KeysCommand.
func ReadKeys(dump []byte, table string) (k Keys) {
	for line := range strings.SplitSeq(string(dump), "\n") {
		c, err := ParseLine(line)
		if err != nil || c.Name != "table_create" || c.Get("name") != table {
			continue
		}
		k = Keys{Type: c.Get("key_type"), Normalizer: c.Get("normalizer")}
		if k.Normalizer == "" {
			k.Normalizer = c.Get("normalizers")
		}
	}
	return k
}

var (
	digits        = regexp.MustCompile(`^-?[0-9]+$`)
	decimal       = regexp.MustCompile(`^-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$`)
	looseDecimal  = regexp.MustCompile(`^[ \t]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	hexadecimal   = regexp.MustCompile(`^[ \t]*[+-]?0[xX]`)
	geoPoint      = regexp.MustCompile(`^(0|-?[1-9][0-9]*)[x,](0|-?[1-9][0-9]*)$`)
	plainText     = regexp.MustCompile(`^[a-z0-9_-]*$`)
	builtinNormal = regexp.MustCompile(`^Normalizer(Auto|NFKC[0-9]*)$`)
)

// Place is the text by which a record with a key is placed, v being the key as JSON has it:
// a string, a json.Number, a bool or nil. What a table takes for one key has one text. The
// error is ErrNotSupported where the text cannot be known here. Of what is no key of the
// table any text will do: each server refuses it.
func (k Keys) Place(v any) (string, error) {
	switch k.Type {
	case "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64":
		return k.placeInteger(v)
	case "Float":
		return k.placeFloat(v)
	case "Time":
		return k.placeTime(v)
	case "Bool":
		return placeBool(v), nil
	case "ShortText", "":
		return k.placeText(v)
	case "WGS84GeoPoint", "TokyoGeoPoint":
		text, _ := v.(string)
		m := geoPoint.FindStringSubmatch(text)
		if m == nil {
			return "", k.refuse(v, "write it in milliseconds, like 128000000x503000000")
		}
		return m[1] + "x" + m[2], nil
	}
	return "", fmt.Errorf("%w: keys of type %s in a table that is cut into slices", ErrNotSupported, k.Type)
}

func (k Keys) refuse(v any, cure string) error {
	return fmt.Errorf("%w: the key %v of type %s: %s", ErrNotSupported, v, k.Type, cure)
}

// Unknown are the keys in a load or a delete of which only a server knows what the normalizer
// makes of them: NormalCommand.
func (k Keys) Unknown(c *Command) (texts []string, err error) {
	if k.Normalizer == "" {
		return nil, nil
	}
	seen := make(map[string]bool)
	note := func(v any) {
		if text, err := k.raw().placeText(v); err == nil && !seen[text] && !k.normal(text) {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	if c.Name != "load" {
		note(c.Get("key"))
		return texts, nil
	}
	list, err := Records(c)
	if err != nil {
		return nil, err
	}
	for _, row := range list.Rows {
		if key, ok := list.Record(row)["_key"]; ok {
			note(key)
		}
	}
	return texts, nil
}

// Check refuses the records of a load, or the key of a delete, that cannot be placed.
func (k Keys) Check(c *Command) error {
	if c.Name != "load" {
		if key, ok := c.Lookup("key"); ok {
			_, err := k.Place(key)
			return err
		}
		return nil
	}
	list, err := Records(c)
	if err != nil {
		return err
	}
	for _, row := range list.Rows {
		if key, ok := list.Record(row)["_key"]; ok {
			if _, err := k.Place(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// makes reports whether a load makes a record of that key, which may be missing.
func (k Keys) makes(key json.RawMessage) bool {
	if k.Type == "" {
		return true
	}
	if len(key) == 0 || string(key) == "null" {
		return false
	}
	text, _ := scalarText(scalarOf(key))
	switch {
	case k.Type == "ShortText":
		return text != ""
	case strings.Contains(k.Type, "Int"):
		return key[0] != '"' || text == "" || decimal.MatchString(text)
	case k.Type == "Float", k.Type == "Time":
		return key[0] != '"' || text == "" || looseDecimal.MatchString(text)
	}
	return true
}

// raw is k without its normalizer.
func (k Keys) raw() Keys { return Keys{Type: k.Type} }

// normal reports whether the normalizer certainly leaves a text as it is.
func (k Keys) normal(text string) bool {
	return builtinNormal.MatchString(k.Normalizer) && plainText.MatchString(text)
}

// normalized is what the normalizer makes of a text.
func (k Keys) normalized(text string) (string, error) {
	if k.Normalizer == "" || k.normal(text) {
		return text, nil
	}
	if normalized, ok := k.Normalized[text]; ok {
		return normalized, nil
	}
	return "", k.refuse(text, "what the table's normalizer makes of it is not known")
}

// NormalCommand asks what the normalizer makes of a text.
func (k Keys) NormalCommand(text string) *Command {
	return &Command{Name: "normalize", Args: []Arg{{"normalizer", k.Normalizer}, {"string", text}}}
}

// ReadNormal reads the answer to NormalCommand.
func ReadNormal(doc []byte) (string, error) {
	body, err := Result(doc)
	if err != nil {
		return "", err
	}
	var said struct{ Normalized *string }
	if err := json.Unmarshal(body, &said); err != nil || said.Normalized == nil {
		return "", fmt.Errorf("%w: what a normalizer makes of a key", errAnswer)
	}
	return *said.Normalized, nil
}

// scalarText is a value's text and whether it is a number.
func scalarText(v any) (text string, isNumber bool) {
	switch v := v.(type) {
	case json.Number:
		return v.String(), true
	case string:
		return v, false
	case bool:
		return strconv.FormatBool(v), false
	}
	return "", false
}

// integerOf reads digits as far as 64 bits have room.
func (k Keys) integerOf(v any, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if u, wide := strconv.ParseUint(text, 10, 64); err != nil && wide == nil && strings.HasPrefix(k.Type, "UInt") {
		return int64(u), nil
	}
	if err != nil {
		return 0, k.refuse(v, "it is too large")
	}
	return n, nil
}

func (k Keys) placeInteger(v any) (string, error) {
	text, _ := scalarText(v)
	n := int64(0)
	switch {
	case v == true:
		n = 1
	case v == false || text == "":
	case digits.MatchString(text):
		var err error
		if n, err = k.integerOf(v, text); err != nil {
			return "", err
		}
	case decimal.MatchString(text):
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.Abs(f) >= 1<<62 || f < 0 && strings.HasPrefix(k.Type, "UInt") {
			return "", k.refuse(v, "write it as an integer")
		}
		n = int64(f)
	default:
		return text, nil // an error of each server
	}
	bits, _ := strconv.Atoi(strings.TrimLeft(k.Type, "UInt"))
	if strings.HasPrefix(k.Type, "UInt") {
		return strconv.FormatUint(uint64(n)<<(64-bits)>>(64-bits), 10), nil
	}
	return strconv.FormatInt(n<<(64-bits)>>(64-bits), 10), nil
}

// seconds reads a number, or a text that is one.
func (k Keys) seconds(v any) (f float64, isNumber bool, err error) {
	text, _ := scalarText(v)
	switch {
	case text == "":
		return 0, true, nil
	case looseDecimal.MatchString(text):
		if digits.MatchString(text) {
			if _, err := strconv.ParseInt(text, 10, 64); err != nil {
				return 0, false, k.refuse(v, "it is too large")
			}
		}
		f, err = strconv.ParseFloat(strings.TrimLeft(text, " \t"), 64)
		if err != nil {
			return 0, false, k.refuse(v, "it is too large")
		}
		return f, true, nil
	case hexadecimal.MatchString(text):
		return 0, false, k.refuse(v, "write it as a decimal number")
	}
	return 0, false, nil
}

func (k Keys) placeFloat(v any) (string, error) {
	if b, ok := v.(bool); ok {
		return map[bool]string{true: "1", false: "0"}[b], nil
	}
	f, isNumber, err := k.seconds(v)
	if err != nil {
		return "", err
	}
	if !isNumber {
		if text, _ := v.(string); strings.Trim(strings.ToLower(text), "+-") == "inf" || strings.Contains(strings.ToLower(text), "nan") {
			return "", k.refuse(v, "it is no number")
		}
		return fmt.Sprint(v), nil // an error of each server
	}
	return strconv.FormatFloat(f, 'f', -1, 64), nil
}

func (k Keys) placeTime(v any) (string, error) {
	if _, ok := v.(bool); ok {
		return "", k.refuse(v, "write it as seconds")
	}
	f, isNumber, err := k.seconds(v)
	switch {
	case err != nil:
		return "", err
	case !isNumber:
		return "", k.refuse(v, "write it as seconds since 1970, since a date means what the server's time zone says")
	case math.Abs(f) > 1e12:
		return "", k.refuse(v, "it is too large")
	}
	return strconv.FormatFloat(math.Round(f*1e6)/1e6, 'f', -1, 64), nil
}

func placeBool(v any) string {
	text, isNumber := scalarText(v)
	if f, err := strconv.ParseFloat(text, 64); isNumber && err == nil {
		return strconv.FormatBool(f != 0 || math.Signbit(f) && strings.ContainsAny(text, ".eE")) // Groonga looks at the bits
	}
	return strconv.FormatBool(text != "" && v != false)
}

func (k Keys) placeText(v any) (string, error) {
	text, isNumber := scalarText(v)
	switch {
	case !isNumber:
		return k.normalized(text)
	case digits.MatchString(text):
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", k.refuse(v, "write it as a text")
		}
		return k.normalized(strconv.FormatInt(n, 10))
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", k.refuse(v, "write it as a text")
	}
	return k.normalized(formatFloat(f))
}
