package live

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	std "text/template"
	"time"
)

// A method that a template of the standard library could call is in the table.
func TestTemplateMethodsAreAll(t *testing.T) {
	seen, fault := make(map[reflect.Type]bool), reflect.TypeFor[error]()
	queue := []reflect.Type{reflect.TypeFor[templateView](), reflect.TypeFor[templateNode]()}
	for len(queue) > 0 {
		x := queue[0]
		queue = queue[1:]
		if seen[x] || x.Kind() == reflect.Interface {
			continue
		}
		seen[x] = true
		for m := range x.NumMethod() {
			method := x.Method(m)
			if n := method.Type.NumOut(); n == 0 || n > 2 || n == 2 && method.Type.Out(1) != fault {
				continue // no template can call it
			}
			if templateMethods[x][method.Name] == nil {
				t.Errorf("%v.%s is missing", x, method.Name)
			}
			queue = append(queue, method.Type.Out(0))
		}
		if x.Kind() == reflect.Struct {
			for _, f := range reflect.VisibleFields(x) {
				if f.IsExported() {
					queue = append(queue, f.Type)
				}
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d types were found", len(seen))
	}
	for x, methods := range templateMethods {
		for name, f := range methods {
			method, ok := x.MethodByName(name)
			if !ok || method.Type != reflect.TypeOf(f) {
				t.Errorf("%v has no such method %s", x, name)
			}
		}
	}
}

// A template makes what the standard library makes of it, and fails where that fails.
func TestTemplatesAreTheStandardLibrarys(t *testing.T) {
	var list List
	t0 := time.Date(2026, 12, 1, 10, 20, 30, 0, time.UTC)
	list.Apply(t0, Change{Kind: Join, Entries: []Entry{
		{Name: "a", Addr: netip.MustParseAddrPort("192.0.2.1:7946"), Status: Alive, Since: t0, Tags: []Tag{{"http", "80"}, {"role", "web"}}},
		{Name: "b", Addr: netip.MustParseAddrPort("[2001:db8::1]:7946"), Status: Failed, Since: t0.Add(time.Second)},
	}})
	view := templateView{list.Current()}
	for _, text := range []string{
		`{{range .Alive}}{{.Name}} {{.Addr.Addr}}:{{.TagOr "http" "80"}}{{end}}`,
		`{{.Len}} {{.NumAlive}} {{.Version}} {{len .Time.String}}`,
		`{{range .All}}{{.Name | printf "%s-%s" (.Addr.Port | printf "%05d")}} {{end}}`,
		`{{range $e := .All}}{{$e.Name}} {{$e.Status}} {{$e.Since.Format "15:04:05"}} {{($e.Since.Add 1000000000).Unix}} {{end}}`,
		`{{range .All}}{{with .Tags}}{{range .}}{{.Key}}={{.Value}},{{end}}{{else}}-{{end}}{{end}}`,
		`{{range .All}}{{if eq .Status.String "alive"}}{{.Name}}{{else if .Addr.Addr.Is6}}6{{end}}{{end}}`,
		`{{range .All}}{{if and .Addr.IsValid (gt .Since.Unix 5)}}{{.Since.UTC.Year}}{{break}}{{end}}{{end}}`,
		`{{define "row"}}{{.Name}}:{{.Since.Month}}{{end}}{{range .All}}{{template "row" .}} {{end}}`,
		`{{range .All}}{{"http" | .TagOr "role"}}{{end}}`,
		`{{range .All}}{{(index (.Addr.Addr.AsSlice) 0)}} {{.Addr.Addr.Prefix 8}} {{end}}`,
		`{{$v := .}}{{range .All}}{{$v.Len}}{{$v.Time.IsZero}}{{end}}`,
		`{{range .All}}{{.Since.Sub $.Time}}{{.Since.Weekday}}{{end}}`,
		`{{range .All}}{{printf "%v %q" .Addr (.TagOr "a" "b")}}{{end}}`,
		// What fails, fails.
		`{{.Nothing}}`, `{{range .All}}{{.name}}{{end}}`, `{{range .All}}{{.TagOr "a"}}{{end}}`, `{{range .All}}{{.TagOr 1 2}}{{end}}`,
		`{{range .All}}{{.Status "x"}}{{end}}`, `{{.Len 1}}`, `{{range .All}}{{.Addr.Addr.Prefix 500}}{{end}}`, `{{.Len.Nothing}}`,
		`{{range .All}}{{.TagOr "a" nil}}{{end}}`, `{{range .All}}{{.Since.Clock}}{{end}}`,
	} {
		var ours, theirs strings.Builder
		mine, err := ParseTemplate("t", text)
		if err == nil {
			err = mine.Execute(&ours, view)
		}
		standard, err2 := std.New("t").Option("missingkey=error").Parse(text)
		if err2 == nil {
			err2 = standard.Execute(&theirs, view)
		}
		if (err == nil) != (err2 == nil) || err == nil && ours.String() != theirs.String() {
			t.Errorf("%s:\n%q, %v\nthe standard library's: %q, %v", text, ours.String(), err, theirs.String(), err2)
		}
	}
}
