package livefile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/live"
)

func TestParseSpec(t *testing.T) {
	for text, want := range map[string]Spec{
		"/run/live.json":                        {File: "/run/live.json"},
		"cluster-state:state.json":              {Format: "cluster-state", File: "state.json"},
		"c:/live.json":                          {File: "c:/live.json"},
		"file=/a,format=haproxy,port=80":        {File: "/a", Format: "haproxy", Port: 80},
		"file=/a,port_tag=http,name=x":          {File: "/a", PortTag: "http", Name: "x"},
		"file=/a,template=/t,run=x a=b, c=d; y": {File: "/a", Template: "/t", Run: "x a=b, c=d; y"},
	} {
		got, err := ParseSpec(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		quoted, _ := json.Marshal(text)
		var fromJSON Spec
		if err := json.Unmarshal(quoted, &fromJSON); err != nil || fromJSON != want {
			t.Errorf("%s: %+v, %v", quoted, fromJSON, err)
		}
	}
	for text, fault := range map[string]string{
		"file=/a,port=x": "port \"x\" is none", "file=/a,colour=red": "no key \"colour\"", "file=/a,port=65536": "is none",
	} {
		if _, err := ParseSpec(text); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v, want %q", text, err, fault)
		}
	}
	var s Spec
	if err := json.Unmarshal([]byte(`{"file": "f", "port": 80}`), &s); err != nil || s != (Spec{File: "f", Port: 80}) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := json.Unmarshal([]byte(`{"file": "f", "colour": 1}`), &s); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("%v", err)
	}
}

func TestSpecTarget(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for path, text := range map[string]string{good: "{{.NumAlive}}", bad: "{{.NumAlive"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := (&Spec{File: "x", Template: good}).Target()
	if err != nil || !filepath.IsAbs(f.Path) || f.Format != live.FormatTemplate {
		t.Errorf("%+v, %v", f, err)
	}
	for fault, spec := range map[string]Spec{
		"no file is named":         {},
		"no such format":           {File: "x", Format: "xml"},
		"no such file":             {File: "x", Template: filepath.Join(dir, "none")},
		"unclosed action":          {File: "x", Template: bad},
		"is for the format":        {File: "x", Template: good, Format: "nginx", Port: 1},
		"needs the port":           {File: "x", Format: "nginx"},
		"format template needs a ": {File: "x", Format: "template"},
	} {
		if _, err := spec.Target(); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%+v: %v, want %q", spec, err, fault)
		}
	}
}

func TestRunCommand(t *testing.T) {
	f := target(t, "")
	f.Run = `echo "list $IBUKI_LIST" > out; echo said; exit 3`
	t.Chdir(filepath.Dir(f.Path))
	err := f.RunCommand(t.Context(), true)
	if err == nil || !strings.Contains(err.Error(), "exit status 3: said") {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile("out"); string(text) != fmt.Sprintf("list %s\n", f.Path) {
		t.Errorf("it was told %q", text)
	}
	f.Run = "yes | head -c 100000"
	if err := f.RunCommand(t.Context(), false); err != nil {
		t.Error(err)
	}
}
