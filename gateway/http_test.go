package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
)

// scripted is a Doer that notes what it is asked and answers what it is told to.
type scripted struct {
	mu   sync.Mutex
	got  []*groonga.Command
	fail error
	hold chan struct{} // if set, an answer is told here, waits, and goes on at the second
}

func (s *scripted) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	if s.hold != nil {
		s.hold <- struct{}{}
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, c)
	if s.fail != nil {
		return groonga.Answer{}, s.fail
	}
	if c.Name == "load" {
		return loadAnswer(c)
	}
	result := `"done"`
	return groonga.Answer{Status: 200, ContentType: "application/json", Body: []byte("[[0,1.5,0.1]," + result + "]")}, nil
}

// loadAnswer is what a server answers that takes all records but those with the key "bad".
func loadAnswer(c *groonga.Command) (groonga.Answer, error) {
	list, err := groonga.Records(c)
	if err != nil {
		return groonga.Answer{}, err
	}
	r := groonga.LoadResult{Header: groonga.Header{Start: "1.5", Elapsed: "0.1"}, Status: 200}
	for i, row := range list.Rows {
		id, fault := fmt.Sprint(i+1), `{"return_code":0,"message":null}`
		if strings.Contains(string(row), `"bad"`) {
			r.Code, r.Status, r.Fault = -22, 400, &groonga.Fault{Message: "bad", Function: "f", File: "load.c", Line: 7}
			id, fault = "0", `{"return_code":-22,"message":"bad"}`
		} else {
			r.Loaded++
		}
		if c.Get("output_ids") == "yes" {
			r.IDs = append(r.IDs, json.RawMessage(id))
		}
		if c.Get("output_errors") == "yes" {
			r.Errors = append(r.Errors, json.RawMessage(fault))
		}
	}
	return r.Answer(c.Form()), nil
}

// last is the command that was asked last.
func (s *scripted) last(t *testing.T) *groonga.Command {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) == 0 {
		t.Fatal("nothing was asked")
	}
	return s.got[len(s.got)-1]
}

// serve starts a Server for a test and returns its address.
func serve(t *testing.T, cfg Config) (string, *Server) {
	t.Helper()
	if cfg.Status == nil {
		cfg.Status = func() any { return map[string]int{"nodes": 3} }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(cfg)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return l.Addr().String(), s
}

// ask sends a request and returns the status, the fault header and the body.
func ask(t *testing.T, method, url, kind string, body io.Reader) (int, string, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get(headerFault), string(text)
}

func TestCommandsOfAllForms(t *testing.T) {
	doer := &scripted{}
	addr, _ := serve(t, Config{Doer: doer})
	for _, c := range []struct {
		method, uri, kind, body string
		wantURI, wantBody       string
	}{
		{"GET", "/d/select?table=Items&query=a%20b", "", "", "/d/select?table=Items&query=a%20b", ""},
		{"GET", "/d/select.json?table=Items", "", "", "/d/select?table=Items&output_type=json", ""},
		{"HEAD", "/d/status", "", "", "/d/status", ""},
		{"POST", "/d/select", "application/x-www-form-urlencoded", "table=Items&query=x%26y", "/d/select?table=Items&query=x%26y", ""},
		{"POST", "/d/load?table=Items", "application/json", `[{"_key":"a"}]`, "/d/load?table=Items&command_version=3", `[{"_key":"a"}]`},
		// What curl -d sends.
		{"POST", "/d/load?table=Items", "application/x-www-form-urlencoded", ` [{"_key":"a"}]`, "/d/load?table=Items&command_version=3", `[{"_key":"a"}]`},
		// What Groonga's own reader takes besides JSON is sent on as JSON.
		{"POST", "/d/load?table=Items", "application/json", "[;{_key:'a' \"b\" 007,}\n,", "/d/load?table=Items&command_version=3", `[{"_key":"a","b":7}]`},
		{"POST", "/d/load?table=Items", "application/x-www-form-urlencoded", `values=` + url.QueryEscape(`[{"_key":"a"}]`), "/d/load?table=Items&command_version=3", `[{"_key":"a"}]`},
		{"GET", "/d/load?table=Items&values=[]", "", "", "/d/load?table=Items&command_version=3", `[]`},
	} {
		status, _, body := ask(t, c.method, "http://"+addr+c.uri, c.kind, strings.NewReader(c.body))
		if status != 200 || c.method != "HEAD" && !strings.HasPrefix(body, "[[0,") {
			t.Errorf("%s %s: %d %s", c.method, c.uri, status, body)
		}
		got := doer.last(t)
		if got.URI() != c.wantURI || string(got.Body) != c.wantBody {
			t.Errorf("%s %s: asked %s with %q, want %s with %q", c.method, c.uri, got.URI(), got.Body, c.wantURI, c.wantBody)
		}
	}
}

func TestFaultsAreEnvelopes(t *testing.T) {
	doer := &scripted{}
	addr, _ := serve(t, Config{Doer: doer})
	for _, c := range []struct {
		err    error
		status int
		code   string
		name   string
	}{
		{dispatch.ErrNoReplica, 503, "-12", "no-replica"},
		{fmt.Errorf("%w: 5 of 5 bytes", dispatch.ErrLogFull), 503, "-27", "buffer-full"},
		{dispatch.ErrForbidden, 403, "-2", "forbidden"},
		{fmt.Errorf("select: %w", groonga.ErrNotSupported), 400, "-38", "not-supported"},
		{fmt.Errorf("a \"quoted\" fault\n"), 500, "-1", "unknown"},
	} {
		doer.fail = c.err
		status, name, body := ask(t, "GET", "http://"+addr+"/d/select?table=T", "", nil)
		var doc [1][]json.RawMessage
		if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc[0]) != 5 {
			t.Fatalf("%v: %s", err, body)
		}
		if status != c.status || name != c.name || string(doc[0][0]) != c.code || message([]byte(body)) != c.err.Error() {
			t.Errorf("%v: %d %s %s", c.err, status, name, body)
		}
		if got := told(name, message([]byte(body))); c.name != "unknown" && faultOf(got).name != c.name {
			t.Errorf("another gateway takes it for %v", got)
		}
	}
	for uri, want := range map[string]int{"/d/": 400, "/d/a%2fb": 400, "/x": 404, "/d/%zz": 400} {
		if status, _, body := ask(t, "GET", "http://"+addr+"/", "", nil); status != 200 || !strings.Contains(body, "/d/COMMAND") {
			t.Errorf("/: %d %s", status, body)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", uri)
		text, _ := io.ReadAll(c)
		c.Close()
		if !strings.HasPrefix(string(text), fmt.Sprintf("HTTP/1.1 %d", want)) {
			t.Errorf("%s: %.60s", uri, text)
		}
	}
}

// What the gateway itself says has the form that the client wants.
func TestFaultsHaveTheFormAskedFor(t *testing.T) {
	doer := &scripted{fail: dispatch.ErrForbidden}
	addr, _ := serve(t, Config{Doer: doer})
	for uri, want := range map[string]string{
		"/d/shutdown":                                    `^\[\[-2,[\d.]+,[\d.]+,"not through the gateway: ask the server itself",\[\]\]\]$`,
		"/d/shutdown?command_version=3":                  `^\{"header":\{"return_code":-2,"start_time":[\d.]+,"elapsed_time":[\d.]+,"error":\{"message":"not through.*"\}\}\}$`,
		"/d/shutdown?callback=cb":                        `^cb\(\[\[-2,.*\]\]\);$`,
		"/d/shutdown.xml":                                `(?s)^<\?xml.*<RESULT CODE="-2" UP="[\d.]+" ELAPSED="[\d.]+">\n<ERROR>not through.*</ERROR>\n</RESULT>$`,
		"/d/shutdown.tsv":                                `(?s)^-2\t[\d.]+\t[\d.]+\t"not through.*"\n\nEND$`,
		"/d/shutdown.msgpack":                            `(?s)not through the gateway: ask the server itself.$`,
		"/d/shutdown.msgpack?output_type=nosuch":         `^$`,
		"/d/shutdown?output_pretty=yes&output_type=json": `(?s)^\[\n  \[\n    -2,\n`,
		"/d/load?table=T&values=[]&command_version=3":    `"return_code":-2`,
	} {
		status, name, body := ask(t, "GET", "http://"+addr+uri, "", nil)
		if status != 403 || name != "forbidden" || !regexp.MustCompile(want).MatchString(strings.ToValidUTF8(body, "\uFFFD")) {
			t.Errorf("%s: %d %s %q", uri, status, name, body)
		}
	}
}

// TestLongRequestLines: what does not fit into the library's buffer is the same command, on
// one connection after others, and what is longer than any command is refused in its form.
func TestLongRequestLines(t *testing.T) {
	doer := &scripted{}
	addr, _ := serve(t, Config{Doer: doer})
	var uris []string
	for _, n := range []int{10, maxHead - 200, maxHead, 116 << 10, 900 << 10, 10} {
		uri := "/d/select.xml?table=T&query=" + strings.Repeat("%20x", n/4) + "&limit=1"
		status, _, body := ask(t, "GET", "http://"+addr+uri, "", nil)
		if status != 200 {
			t.Fatalf("%d bytes: %d %.200s", n, status, body)
		}
		uris = append(uris, uri)
	}
	for i, c := range doer.got {
		want, err := groonga.ParseURI(uris[i])
		if err != nil || c.Name != "select" || c.Get("output_type") != "xml" || c.Get("query") != want.Get("query") || c.Get("limit") != "1" {
			t.Errorf("%d bytes became %.200s, %v", len(uris[i]), c.URI(), err)
		}
	}
	long := "&query=" + strings.Repeat("x", maxLongHead)
	for uri, want := range map[string]string{
		"/d/select?table=T&command_version=3&callback=f" + long: `f({"header":{"return_code":-22,`,
		"/d/select.tsv?table=T" + long:                          "-22\t", "/d/select?query=" + long: "[[-22,", "/d/" + long: "[[-22,",
	} {
		status, name, body := ask(t, "GET", "http://"+addr+uri, "", nil)
		if status != 400 || name != "too-long" || !strings.Contains(body, "by POST") || !strings.HasPrefix(body, want) {
			t.Errorf("%.60s: %d %s %.200s", uri, status, name, body)
		}
	}
}

// TestHeadsInPieces: a head that comes byte by byte is one, whatever follows it.
func TestHeadsInPieces(t *testing.T) {
	const heads = "GET /d/status HTTP/1.1\r\nHost: x\r\n\r\nGET /d/select?table=T HTTP/1.1\nHost: x\n\nGET /status HTTP/1.1\r\n\r\n"
	for size := 1; size <= len(heads); size++ {
		near, far := net.Pipe()
		go func() {
			for rest := heads; rest != ""; rest = rest[min(size, len(rest)):] {
				_, _ = far.Write([]byte(rest[:min(size, len(rest))]))
			}
			far.Close()
		}()
		got, err := io.ReadAll(&headConn{Conn: near, fresh: true})
		if string(got) != heads || err != nil {
			t.Fatalf("in pieces of %d: %q, %v", size, got, err)
		}
	}
	for _, left := range []string{
		"GET /d/load?table=T HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "GET /d/status HTTP/1.1\r\n\r\n", "GET /d/select?table=T\r\n\r\n", "GET /d/a?b HTTP/1.1\nTransfer-encoding: chunked\n\n",
	} {
		if got := asForm([]byte(left), endOfHead([]byte(left))); string(got) != left {
			t.Errorf("%q became %q", left, got)
		}
	}
	const request, want = "GET /d/a?b=c HTTP/1.1\r\nHost: x\r\n\r\nrest", "POST /d/a HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\nHost: x\r\n\r\nb=crest"
	if got := asForm([]byte(request), endOfHead([]byte(request))); string(got) != want {
		t.Errorf("%q", got)
	}
}

// A load of any length is taken in steps, whether its length is told or it comes in
// chunks.
func TestALoadOfAnyLengthIsTakenInSteps(t *testing.T) {
	const records = 3000
	for _, form := range []string{"objects", "arrays", "columns"} {
		t.Run(form, func(t *testing.T) {
			doer := &scripted{}
			addr, _ := serve(t, Config{Doer: doer, MaxChunk: 16 << 10})
			uri, text := longLoad(form, records)
			for _, body := range []io.Reader{strings.NewReader(text), io.MultiReader(strings.NewReader(text))} {
				doer.got = nil
				status, _, answer := ask(t, "POST", "http://"+addr+uri, "application/json", body)
				if status != 200 || !strings.HasSuffix(answer, fmt.Sprintf(",%d]", records)) {
					t.Fatalf("%d %s", status, answer)
				}
				if len(doer.got) < 5 {
					t.Errorf("%d steps", len(doer.got))
				}
				n := 0
				for _, c := range doer.got {
					list, err := groonga.Records(c)
					if err != nil || len(c.Body) > 32<<10 {
						t.Fatalf("a step of %d bytes: %v", len(c.Body), err)
					}
					n += len(list.Rows)
				}
				if n != records {
					t.Errorf("%d records", n)
				}
			}
		})
	}
}

// A load is never cut, whatever form its answer is wanted in.
func TestALongLoadIsAnsweredInEveryForm(t *testing.T) {
	doer := &scripted{}
	addr, _ := serve(t, Config{Doer: doer, MaxChunk: 4 << 10})
	const records = 1000
	_, text := longLoad("objects", records)
	text = strings.Replace(text, `"key500"`, `"bad"`, 1)
	for arguments, want := range map[string]string{
		"":                                    `[[-22,1.5,0.1,"bad",[["f","load.c",7]]],999]`,
		"&command_version=2":                  `[[-22,1.5,0.1,"bad",[["f","load.c",7]]],999]`,
		"&callback=cb":                        `[[-22,1.5,0.1,"bad",[["f","load.c",7]]],999]`, // as of Groonga, of a body
		"&command_version=3":                  `{"header":{"return_code":-22,"start_time":1.5,"elapsed_time":0.1,"error":{"message":"bad","function":"f","file":"load.c","line":7}},"body":{"n_loaded_records":999}}`,
		"&output_type=tsv":                    "-22\t1.5\t0.1\t\"bad\"\t\"f\"\t\"load.c\"\t7\n999\nEND",
		"&output_type=xml":                    `<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<RESULT CODE="-22" UP="1.5" ELAPSED="0.1">` + "\n" + `<ERROR>bad<INFO FUNC="f" FILE="load.c" LINE="7"/></ERROR><INT>999</INT>` + "\n</RESULT>",
		"&output_type=msgpack":                "\x92\x95\xea\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xa3bad\x91\x93\xa1f\xa6load.c\x07\xcd\x03\xe7",
		"&output_type=nosuch":                 "",
		"&output_type=json&output_pretty=yes": "[\n  [\n    -22,\n    1.5,\n    0.1,\n    \"bad\",\n    [\n      [\n        \"f\",\n        \"load.c\",\n        7\n      ]\n    ]\n  ],\n  999\n]",
	} {
		doer.got = nil
		status, _, got := ask(t, "POST", "http://"+addr+"/d/load?table=T"+arguments, "application/json", strings.NewReader(text))
		if status != 400 || got != want {
			t.Errorf("%s: %d %q\nwant %q", arguments, status, got, want)
		}
		n := 0
		for _, c := range doer.got {
			list, err := groonga.Records(c)
			if err != nil {
				t.Fatal(err)
			}
			n += len(list.Rows)
		}
		if n != records {
			t.Errorf("%s: %d records were sent on", arguments, n)
		}
	}
	var doc struct {
		Body struct {
			IDs    []int `json:"loaded_ids"`
			Errors []struct {
				Code int `json:"return_code"`
			} `json:"errors"`
		} `json:"body"`
	}
	_, _, got := ask(t, "POST", "http://"+addr+"/d/load?table=T&command_version=3&output_ids=yes&output_errors=yes", "application/json", strings.NewReader(text))
	if err := json.Unmarshal([]byte(got), &doc); err != nil || len(doc.Body.IDs) != records || len(doc.Body.Errors) != records || doc.Body.Errors[500].Code != -22 || doc.Body.IDs[500] != 0 {
		t.Errorf("%v, %.300s", err, got)
	}
}

func longLoad(form string, records int) (uri, text string) {
	uri = "/d/load?table=T"
	var rows []string
	if form == "arrays" {
		rows = append(rows, `["_key","x"]`)
	}
	if form == "columns" {
		uri += "&columns=_key,x"
	}
	for i := range records {
		if form == "objects" {
			rows = append(rows, fmt.Sprintf(`{"_key":"key%d","x":"some text"}`, i))
		} else {
			rows = append(rows, fmt.Sprintf(`["key%d","some more text"]`, i))
		}
	}
	return uri, " [\n" + strings.Join(rows, ",\n") + "\n]\n"
}

func TestALoadThatBreaksOff(t *testing.T) {
	doer := &scripted{}
	addr, _ := serve(t, Config{Doer: doer, MaxChunk: 4 << 10, MaxRecord: 8 << 10})
	whole := `[` + strings.Repeat(`{"_key":"a","x":"0123456789"},`, 1000)
	for name, text := range map[string]string{
		"half":      whole + `{"_key":"b"`,
		"no JSON":   whole + `{]}`,
		"one more":  whole + `]` + "\n" + `{"_key":"b"}`,
		"too long":  whole + `{"_key":"` + strings.Repeat("x", 9<<10) + `"}]`,
		"very deep": whole + strings.Repeat("[", 1000),
	} {
		status, fault, body := ask(t, "POST", "http://"+addr+"/d/load?table=T", "application/json", strings.NewReader(text))
		if status != 400 || fault != "bad-command" || !strings.Contains(body, "after 1000 records were loaded") {
			t.Errorf("%s: %d %s %.200s", name, status, fault, body)
		}
	}
}

// The steps of a load that a client has named are writes with names of their own, the same
// when it is sent again.
func TestTheStepsOfANamedLoadHaveNamesOfTheirOwn(t *testing.T) {
	doer := &scripted{}
	_, s := serve(t, Config{Doer: doer, MaxChunk: 2 << 10})
	_, text := longLoad("objects", 200)
	c, err := groonga.ParseURI("/d/load?table=T")
	if err != nil {
		t.Fatal(err)
	}
	c.ID = "mine"
	seen := make(map[string]int)
	for range 2 {
		if _, err := s.load(c, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range doer.got {
		seen[step.ID]++
	}
	if len(seen) < 3 || seen["mine"] != 2 || seen["mine/1"] != 2 || seen["mine/2"] != 2 {
		t.Errorf("%v", seen)
	}
}

// A record that cannot be read costs that record; a body goes to a load only.
func TestABadRecordCostsThatRecord(t *testing.T) {
	doer := &scripted{}
	addr, _ := serve(t, Config{Doer: doer})
	status, _, body := ask(t, "POST", "http://"+addr+"/d/load?table=T&command_version=3&output_ids=yes&output_errors=yes", "application/json",
		strings.NewReader(`[{"_key":"a"},{"_key":"b","x":"`+"\xff"+`"},{"_key":"c","x"},{"_key":"d"}]`))
	var doc struct {
		Header struct {
			Code  int `json:"return_code"`
			Error struct{ Message string }
		}
		Body struct {
			Loaded int   `json:"n_loaded_records"`
			IDs    []int `json:"loaded_ids"`
			Errors []struct {
				Code    int `json:"return_code"`
				Message string
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err, body)
	}
	if b := doc.Body; status != 400 || doc.Header.Code != -22 || b.Loaded != 2 || len(b.IDs) != 4 || b.IDs[1] != 0 || b.IDs[2] != 0 || b.IDs[3] == 0 ||
		b.Errors[1].Code != -22 || !strings.Contains(b.Errors[1].Message, "UTF-8") || !strings.Contains(b.Errors[2].Message, "no value") || b.Errors[3].Code != 0 {
		t.Errorf("%d %s", status, body)
	}
	doer.got = nil
	for _, command := range []string{"select", "delete", "nosuch"} {
		status, fault, body := ask(t, "POST", "http://"+addr+"/d/"+command+"?table=T", "application/json", strings.NewReader("\nshutdown\n"))
		if status != 400 || fault != "bad-command" || !strings.Contains(body, "only load has") {
			t.Errorf("%s: %d %s %s", command, status, fault, body)
		}
	}
	if len(doer.got) > 0 {
		t.Errorf("%+v was asked", doer.got)
	}
}

func TestStatusAndPeers(t *testing.T) {
	doer := &scripted{}
	addr, _ := serve(t, Config{Doer: doer})
	if status, _, body := ask(t, "GET", "http://"+addr+"/status", "", nil); status != 200 || !strings.Contains(body, `"nodes": 3`) {
		t.Errorf("/status: %d %s", status, body)
	}
	client := NewClient(1 << 20)
	defer client.Close()
	c := &groonga.Command{Name: "select", Dataset: "D"}
	c.Set("table", "T")
	answer, err := client.Forward(t.Context(), addr, c)
	if err != nil || answer.Code != 0 || !strings.HasSuffix(string(answer.Body), `,"done"]`) {
		t.Fatalf("%s, %v", answer.Body, err)
	}
	if got := doer.last(t); !got.Forwarded || got.Dataset != "D" || got.Get("table") != "T" {
		t.Errorf("%+v", got)
	}
	doer.fail = dispatch.ErrLogFull
	if _, err := client.Forward(t.Context(), addr, c); faultOf(err).name != "buffer-full" {
		t.Errorf("%v", err)
	}
}

// A server that is stopped answers what it has begun.
func TestStopWaitsForWhatIsUnderWay(t *testing.T) {
	doer := &scripted{hold: make(chan struct{})}
	addr, s := serve(t, Config{Doer: doer})
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Get("http://" + addr + "/d/status")
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-doer.hold
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- s.Stop(ctx)
	}()
	for {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			break // it takes no more
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	close(doer.hold)
	if status := <-answered; status != 200 {
		t.Errorf("status %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// A server that is stopped before it has begun ends as well.
func TestStopBeforeServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Config{})
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is open")
	}
}
