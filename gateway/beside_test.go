package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
	"github.com/ibuki-dev/ibuki/live"
)

// beside is a gateway before some slices, and one server that has all the data: every
// request goes to both.
type beside struct {
	t       *testing.T
	gateway string
	server  string
	slices  []string // the servers behind the gateway
}

// newBeside starts servers, a gateway before n of them and one beside it.
func newBeside(t *testing.T, n int, fact string) *beside {
	t.Helper()
	var list, addrs []string
	for i := range n {
		addrs = append(addrs, groongatest.Start(t).Addr)
		list = append(list, fmt.Sprintf(`{"label":"s%d","weight":1,"volume":{"address":"%s/d"}}`, i, addrs[i]))
	}
	c, err := catalog.Parse(fmt.Appendf(nil, `{"version":2,"datasets":{"Default":{"fact":%q,"nWorkers":1,"plugins":[],"schema":{},
		"replicas":[{"dimension":"_key","slicer":"hash","slices":[%s]}]}}}`, fact, strings.Join(list, ",")))
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Catalog: c, List: &live.List{}, WriteLog: &dispatch.LogConfig{Dir: t.TempDir(), Boot: "this one"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	addr, _ := serve(t, Config{Doer: d, MaxChunk: 2 << 10})
	return &beside{t, addr, groongatest.Start(t).Addr, addrs}
}

// said is what a server said.
type said struct {
	status      int
	kind, fault string
	body        string
}

// besideTimes are what differs from one answer to the next.
var besideTimes = regexp.MustCompile(`\b1[0-9]{9}\.\d+(e\+\d+)?|\b\d+\.\d+(e-\d+)?\b|\b\d+e-\d+`)

// send sends bytes, reads the answer and masks the times of its header.
func send(t *testing.T, addr, request string) said {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	s := said{status: resp.StatusCode, kind: resp.Header.Get("Content-Type"), fault: resp.Header.Get(headerFault), body: string(body)}
	s.body = maskHeader(s)
	return s
}

// maskHeader takes the times from a header, and from it alone where that can be told.
func maskHeader(s said) string {
	if s.kind == "application/x-msgpack" {
		return maskMsgpack(s.body)
	}
	end := len(s.body)
	if i := strings.IndexByte(s.body, ']'); s.kind == "application/json" && i > 0 && strings.HasPrefix(s.body, "[[") {
		end = i
	}
	return besideTimes.ReplaceAllString(s.body[:end], "TIME") + s.body[end:]
}

// maskMsgpack takes the first two floats of eight bytes away, which are the header's.
func maskMsgpack(body string) string {
	const float64Head, size = '\xcb', 9
	for range 2 {
		if i := strings.IndexByte(body, float64Head); i >= 0 && i+size <= len(body) {
			body = body[:i] + "TIME" + body[i+size:]
		}
	}
	return body
}

func get(uri string) string {
	return "GET " + uri + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
}

func post(uri, kind, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", uri, kind, len(body), body)
}

// must has a request done on both, which has to be equal and a success.
func (b *beside) must(requests ...string) {
	b.t.Helper()
	for _, r := range requests {
		if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "POST ") {
			r = get(r)
		}
		got, want := send(b.t, b.gateway, r), send(b.t, b.server, r)
		if got.status != 200 || want.status != 200 || got != want {
			b.t.Fatalf("%.200s\n got %+v\nwant %+v", r, got, want)
		}
	}
}

// compare asks both. It is "equal", "refused" with a reason, or what differs.
func (b *beside) compare(request string) (verdict string, got, want said) {
	b.t.Helper()
	got = send(b.t, b.gateway, request)
	if got.fault != "" {
		return "refused", got, want
	}
	want = send(b.t, b.server, request)
	if got == want {
		return "equal", got, want
	}
	return "different", got, want
}

// items is a fact table that refers to another one.
func (b *beside) items() {
	b.t.Helper()
	b.must("/d/table_create?name=Tags&flags=TABLE_HASH_KEY&key_type=ShortText", "/d/column_create?table=Tags&name=label&flags=COLUMN_SCALAR&type=ShortText",
		"/d/table_create?name=Items&flags=TABLE_HASH_KEY&key_type=ShortText", "/d/column_create?table=Items&name=title&flags=COLUMN_SCALAR&type=Text",
		"/d/column_create?table=Items&name=v&flags=COLUMN_SCALAR&type=Int32", "/d/column_create?table=Items&name=tag&flags=COLUMN_SCALAR&type=Tags",
		"/d/table_create?name=Terms&flags=TABLE_PAT_KEY&key_type=ShortText&default_tokenizer=TokenBigram&normalizer=NormalizerAuto",
		"/d/column_create?table=Terms&name=title&flags=COLUMN_INDEX|WITH_POSITION&type=Items&source=title",
		"/d/column_create?table=Tags&name=items&flags=COLUMN_INDEX&type=Items&source=tag")
	b.must(post("/d/load?table=Tags", "application/json", `[{"_key":"a","label":"first"},{"_key":"b","label":"second"},{"_key":"c","label":"third"}]`))
	var rows []string
	for i := range 60 {
		rows = append(rows, fmt.Sprintf(`{"_key":"i%02d","title":"%s %d","v":%d,"tag":"%c"}`, i, []string{"red bicycle", "green tree", "blue sky"}[i%3], i, i*7%60, 'a'+i%3))
	}
	b.must(post("/d/load?table=Items", "application/json", "["+strings.Join(rows, ",")+"]"))
}

// TestTwoSlicesBesideOneServer asks a gateway before two slices and one server the same.
// What is not equal is refused with a reason.
func TestTwoSlicesBesideOneServer(t *testing.T) {
	b := newBeside(t, 2, "Items")
	b.items()
	for request, want := range map[string]string{
		get("/d/select?table=Items&sort_keys=_key&output_columns=_key,title,v,tag.label"):                                                                 "equal",
		get("/d/select?table=Items&filter=v<50&sort_keys=-v&output_columns=v&command_version=3"):                                                          "equal",
		get("/d/select?table=Items&drilldown=tag&drilldown_output_columns=_key,label,_nsubrecs&drilldown_sort_keys=_key&limit=0&output_columns=_key"):     "equal",
		get("/d/select?table=Items&limit=0&output_columns=_key&drilldown=nosuch"):                                                                         "equal",
		get("/d/select?table=Items&limit=0&output_columns=_key&drilldown=nosuch&command_version=3"):                                                       "equal",
		get("/d/select?table=Items&limit=0&output_columns=_key&drilldown=nosuch&output_type=tsv"):                                                         "equal",
		get("/d/select?table=Items&limit=3&output_columns=_key,v&sort_keys=v&callback=cb"):                                                                "equal",
		get("/d/select?table=Items&limit=3&output_columns=_key,v&sort_keys=v&output_pretty=yes&drilldown=tag&drilldown_sort_keys=_key"):                   "equal",
		get("/d/select?table=Items&limit=3&output_columns=_key,v&sort_keys=v&output_pretty=yes&command_version=3&callback=cb"):                            "equal",
		get("/d/select.tsv?table=Items&limit=3&output_columns=_key,v,title&sort_keys=v&drilldown=tag&drilldown_sort_keys=_key"):                           "equal",
		get("/d/select.tsv?table=Items&limit=3&output_columns=_key,v,title&sort_keys=v&command_version=3"):                                                "equal",
		get("/d/select.tsv?table=Items&filter=nosuch"):                                                                                                    "equal",
		get("/d/select?table=Items&filter=nosuch&callback=cb"):                                                                                            "equal",
		get("/d/select?table=Items&filter=nosuch&output_pretty=yes"):                                                                                      "equal",
		get("/d/select.xml?table=Items&sort_keys=_key&output_columns=_key,title,tag&drilldown=tag,v&drilldown_sort_keys=_key&offset=-70&limit=-3"):        "equal",
		get("/d/select.xml?table=Items&sort_keys=tag,-v&output_columns=_key,v&limit=0&command_version=3"):                                                 "refused",
		get("/d/select.msgpack?table=Items&limit=30&sort_keys=-v&output_columns=_key,v,tag,title&drilldown=tag,title&drilldown_sort_keys=_key"):           "equal",
		get("/d/select.msgpack?table=Items&limit=-1&sort_keys=v&output_columns=v&command_version=3&drilldowns[a].keys=tag&drilldowns[a].sort_keys=_key"):  "equal",
		get("/d/select.msgpack?table=Items&sort_keys=v&output_columns=_key,d&columns[d].stage=output&columns[d].type=Time&columns[d].value=v*37777777.7"): "equal",
		get("/d/select.msgpack?table=Items&sort_keys=v&output_columns=_key,d&columns[d].stage=output&columns[d].type=Float&columns[d].value=v*0.1"):       "equal",
		get("/d/select.msgpack?table=Items&filter=nosuch"):                                                                                                "equal",
		get("/d/select?table=Items;limit=1&sort_keys=v&output_columns=v"):                                                                                 "equal",
		get(`/d/select?table=Items&match_columns=title&query=bicycle+OR+100%&sort_keys=v&output_columns=v`):                                               "equal",
		get("/d/request_cancel?id=nosuch"):                                               "equal",
		get("/d/request_cancel.xml?id=nosuch"):                                           "equal",
		get("/d/lock_acquire?target_name=Items"):                                         "equal",
		get("/d/lock_release?target_name=nosuch"):                                        "equal",
		get("/d/thread_limit"):                                                           "equal",
		get("/d/select?table=Tags&output_columns=_key,label&sort_keys=_key"):             "equal",
		get("/d/select?table=Tags&sort_keys=_key"):                                       "refused",
		get("/d/select?table=Tags&output_columns=_key,items"):                            "refused",
		get("/d/select?table=Items&output_columns=_key,tag.items"):                       "refused",
		get("/d/select?table=Items&filter=_id<5&limit=0&output_columns=_key"):            "refused",
		get("/d/delete?table=Items&filter=v<50&limit=2"):                                 "refused",
		get("/d/delete?table=Items&id=1"):                                                "refused",
		get("/d/select?table=Items&filter=v>=50&load_table=Found&limit=0"):               "refused",
		post("/d/load?table=Items", "application/json", `[{"_id":1,"v":77}]`):            "refused",
		post("/d/load?table=Items&columns=_id,v", "application/json", `[[1,77]]`):        "refused",
		post("/d/load?table=Tags", "application/json", `[{"_id":1,"label":"x"}]`):        "refused",
		post("/d/load?table=Tags", "application/json", `[{"_key":"a","label":"first"}]`): "equal",
		post("/d/load?table=Items&command_version=3", "application/json", `[{"_key":"i00","v":0},{"_key":"i01","v":7},{"_key":"i02","v":14},{"_key":"i03","v":21}]`): "equal",
		post("/d/load?table=Items&callback=cb", "application/json", `[{"_key":"i00","v":0},{"v":7},{"_key":"i02","v":14},{"v":21}]`):                                 "equal",
	} {
		verdict, got, other := b.compare(request)
		if strings.Contains(request, "lock_acquire") {
			b.must("/d/lock_release?target_name=Items")
		}
		if verdict != want {
			t.Errorf("%.200s: %s, want %s\n got %+v\nwant %+v", request, verdict, want, got, other)
		}
	}
}

// TestADumpIsOfAllSlices: where no table refers to another, a dump has the records of all.
func TestADumpIsOfAllSlices(t *testing.T) {
	b := newBeside(t, 2, "")
	b.must("/d/table_create?name=A&flags=TABLE_PAT_KEY&key_type=ShortText", "/d/column_create?table=A&name=n&flags=COLUMN_SCALAR&type=Int32",
		"/d/table_create?name=B&flags=TABLE_NO_KEY", "/d/column_create?table=B&name=n&flags=COLUMN_SCALAR&type=ShortText",
		post("/d/load?table=A", "application/json", `[{"_key":"a","n":1},{"_key":"b","n":2},{"_key":"c","n":3}]`), post("/d/load?table=B", "application/json", `[{"n":"1"},{"n":"2"},{"n":"3"}]`))
	numbered := regexp.MustCompile(`^\["_id",|^\[\d+,`) // records without keys, on one server
	lines := func(addr string) string {
		all := strings.FieldsFunc(send(t, addr, get("/d/dump")).body, func(r rune) bool { return r == '\n' })
		for i := range all {
			all[i] = strings.TrimSuffix(numbered.ReplaceAllString(all[i], "["), ",")
		}
		slices.Sort(all)
		return strings.Join(slices.Compact(all), "\n") // a load for each slice
	}
	if got, want := lines(b.gateway), lines(b.server); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	send(t, b.slices[0], get("/d/column_create?table=B&name=a&flags=COLUMN_SCALAR&type=A")) // one from before the gateway
	send(t, b.slices[1], get("/d/column_create?table=B&name=a&flags=COLUMN_SCALAR&type=A"))
	if verdict, got, _ := b.compare(get("/d/dump")); verdict != "refused" {
		t.Error(verdict, got)
	}
}

// TestBodiesBesideOneServer posts bodies that are not quite JSON, through a gateway before
// one and before two slices, whose answers and records are those of one server.
func TestBodiesBesideOneServer(t *testing.T) {
	for _, slices := range []int{1, 2} {
		b := newBeside(t, slices, "Items")
		b.items()
		for body, want := range map[string]string{
			"": "equal", "  ": "equal", "[": "equal", "x": "refused", `{"_key":"a"}`: "equal", `[{"_key":"b","v":1},`: "equal", `[{_key:'c' "v" 007}#]`: "equal",
			`[["_key","v"],["d",1],["e",2]]`: "equal", `[["v"],[1]]`: "equal", `[["_key","nosuch"],["f",1]]`: "equal", `[{"_key":"g","v":"x"},{"v":1},{"_key":"h"}]`: "equal",
			"[{\"_key\":\"i\",\"title\":\"a\tb\"}]": "equal", `[{"_key":"j"`: "refused", `[{"_key":"k"}]` + "\n" + `{"_key":"l"}`: "refused", `[{"_key":1.5}]`: "equal",
			`[{"_key":null}]`: "equal", `[17,{"_key":"m"}]`: "equal",
		} {
			request := post("/d/load?table=Items&command_version=3&output_errors=yes", "application/json", body)
			verdict, got, other := b.compare(request)
			if verdict != want {
				t.Errorf("%d slices, %q: %s, want %s\n got %+v\nwant %+v", slices, body, verdict, want, got, other)
			}
		}
		held := get("/d/select?table=Items&sort_keys=_key&limit=-1&output_columns=_key,v,title&filter=_key@^%22%22%20%26%26%20_key%3C%22i0%22")
		if verdict, got, other := b.compare(held); verdict != "equal" {
			t.Errorf("%d slices: %s\n got %+v\nwant %+v", slices, verdict, got, other)
		}
	}
}
