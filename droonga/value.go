package droonga

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

var (
	mapType   = reflect.TypeFor[map[string]any]()
	sliceType = reflect.TypeFor[[]any]()
)

// parseJSON reads JSON into what msgpack writes as the same: whole numbers stay
// whole.
func parseJSON(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

// numbers makes numbers of json.Numbers, in place.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(string(v), 10, 64); err == nil {
			return n
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return string(v)
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v { // order-free: each value is replaced by itself
			v[k] = numbers(v[k])
		}
	}
	return v
}

// plain makes text of msgpack's binary values, which JSON does not have, in place.
func plain(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v { // order-free: each value is replaced by itself
			v[k] = plain(v[k])
		}
	}
	return v
}

// jsonText writes a value that came by msgpack as JSON.
func jsonText(v any) (string, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(plain(v)); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

// argument is a value as an argument of a Groonga command.
func argument(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case bool:
		if v {
			return "yes", nil
		}
		return "no", nil
	case nil:
		return "", nil
	}
	return jsonText(v)
}

// number reads a whole number; other is what counts if there is none.
func number(v any, other int) (int, error) {
	switch v := v.(type) {
	case nil:
		return other, nil
	case int64:
		return int(v), nil
	case uint64:
		return int(min(v, math.MaxInt32)), nil
	case float64:
		return int(v), nil
	case string:
		if n, err := strconv.Atoi(v); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%.40v is no number", v)
}

// seconds reads a duration, which may also be text. Zero if there is none.
func seconds(v any) time.Duration {
	var s float64
	switch v := v.(type) {
	case int64:
		s = float64(v)
	case uint64:
		s = float64(v)
	case float64:
		s = v
	case string:
		s, _ = strconv.ParseFloat(v, 64) // what is no number is none
	}
	if !(s > 0) || s > 1e6 {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// w3c is the form of times in Droonga's answers.
func w3c(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// times makes text of the times, in seconds, of a column's value.
func times(v any) any {
	switch v := v.(type) {
	case int64:
		return w3c(time.Unix(v, 0))
	case float64:
		return w3c(time.UnixMicro(int64(math.Round(v * 1e6))))
	case []any:
		for i := range v {
			v[i] = times(v[i])
		}
	}
	return v
}
