package droonga

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
)

// oneServer is a Doer with one Groonga server behind it.
type oneServer string

func (addr oneServer) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, c.Method(), "http://"+string(addr)+c.URI(), bytes.NewReader(c.Body))
	if err != nil {
		return groonga.Answer{}, err
	}
	req.Header.Set("Content-Type", c.ContentType)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return groonga.Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return groonga.Answer{Status: resp.StatusCode, Body: body}, err
}

// startGroonga starts a real Groonga server with an empty database.
func startGroonga(t *testing.T) oneServer {
	t.Helper()
	return oneServer(groongatest.Start(t).Addr)
}

// TestWithGroonga plays Droonga's own examples with a real Groonga behind.
func TestWithGroonga(t *testing.T) {
	_, addr := startServer(t, Config{Doer: startGroonga(t)})
	conn, receiver := dial(t, addr), newReceiver(t)
	id := 0
	ask := func(kind, body, want string) {
		t.Helper()
		v, err := parseJSON([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		id++
		write(t, conn, message(receiver, fmt.Sprint(id), kind, v))
		m := receiver.next()[2].(map[string]any)
		if m["inReplyTo"] != fmt.Sprint(id) || m["type"] != kind+".result" {
			t.Errorf("%s: %s", kind, show(m))
		}
		if head, ok := m["body"].([]any); ok && len(head) > 0 { // of Groonga: the times differ each time
			if times, ok := head[0].([]any); ok && len(times) > 2 {
				times[1], times[2] = 0, 0
				head[0] = times[:3]
			}
		}
		w, err := parseJSON([]byte(want))
		if err != nil {
			t.Fatal(err)
		}
		if got := []any{m["statusCode"], m["body"]}; !same(got, w) {
			t.Errorf("%s %s\ngot  %s\nwant %s", kind, body, show(got), show(w))
		}
	}
	ask("table_create", `{"name":"Job","flags":"TABLE_HASH_KEY","key_type":"ShortText"}`, `[200,[[0,0,0],true]]`)
	ask("column_create", `{"table":"Job","name":"label","type":"ShortText"}`, `[200,[[0,0,0],true]]`)
	ask("table_create", `{"name":"Person","flags":"TABLE_HASH_KEY","key_type":"ShortText"}`, `[200,[[0,0,0],true]]`)
	for _, c := range []string{`"name":"age","type":"Int32"`, `"name":"job","type":"Job"`, `"name":"born","type":"Time"`,
		`"name":"mail","type":"ShortText","flags":"COLUMN_VECTOR"`} {
		ask("column_create", `{"table":"Person",`+c+`}`, `[200,[[0,0,0],true]]`)
	}
	ask("table_create", `{"name":"Log","flags":"TABLE_NO_KEY"}`, `[200,[[0,0,0],true]]`)
	ask("column_create", `{"table":"Log","name":"text","type":"Text"}`, `[200,[[0,0,0],true]]`)

	ask("add", `{"table":"Person","key":"Alice Arnold","values":{"age":20,"job":"announcer","born":"2015-05-09 00:00:00","mail":["a@example.com","b@example.com"]}}`, `[200,true]`)
	ask("add", `{"table":"Person","key":"Alice Cooper","values":{"age":30,"job":"musician"}}`, `[200,true]`)
	ask("add", `{"table":"Person","key":"Bob Ross","values":{"age":54,"job":"painter"}}`, `[200,true]`)
	ask("update", `{"table":"Person","key":"Bob Ross","values":{"job":"musician"}}`, `[200,true]`)
	ask("add", `{"table":"Log","values":{"text":"started"}}`, `[200,true]`)
	ask("add", `{"table":"Log","key":"ignored","values":{"text":"ended"}}`, `[200,true]`)
	ask("load", `{"table":"Job","values":[{"_key":"painter","label":"P"},{"_key":"musician","label":"M"}]}`, `[200,[[0,0,0],[2]]]`)

	ask("add", `{"key":"x"}`, `[400,{"name":"MissingTableParameter","message":"\"table\" must be specified."}]`)
	ask("add", `{"table":"Nobody","key":"x"}`, `[404,{"name":"UnknownTable","message":"The table \"Nobody\" does not exist in the dataset."}]`)
	ask("add", `{"table":"Person","values":{"age":1}}`, `[400,{"name":"MissingPrimaryKeyParameter",
		"message":"\"key\" must be specified. The table \"Person\" requires a primary key for a new record."}]`)
	ask("add", `{"table":"Job","key":"painter","values":{"nope":1}}`, `[404,{"name":"UnknownColumn",
		"message":"The column \"nope\" does not exist in the table \"Job\".","detail":{"table":"Job","key":"painter","values":{"nope":1}}}]`)

	ask("search", `{"queries":{"people":{"source":"Person","condition":"_key @ \"Alice\"","sortBy":["-age"],
		"output":{"elements":["count","attributes","records"],"attributes":["_key","*"],"limit":-1}}}}`,
		`[200,{"people":{"count":2,"attributes":[{"name":"_key","type":"ShortText","vector":false},{"name":"age","type":"Int32","vector":false},
			{"name":"born","type":"Time","vector":false},{"name":"job","type":"Job","vector":false},{"name":"mail","type":"ShortText","vector":true}],
			"records":[["Alice Cooper",30,"1970-01-01T00:00:00.000000Z","musician",[]],
				["Alice Arnold",20,"`+localTime("2015-05-09 00:00:00")+`","announcer",["a@example.com","b@example.com"]]]}}]`)
	ask("search", `{"queries":{"young":{"source":"Person","condition":"age < 50"},
		"people":{"source":"young","condition":{"query":"_key:^Alice"},"sortBy":["-age"],
			"output":{"elements":["count","records"],"attributes":["_key",{"label":"work","source":"job"},"born"],"limit":-1,"format":"complex"}},
		"jobs":{"source":"Person","groupBy":"job","sortBy":["-_nsubrecs","_key"],
			"output":{"elements":["count","records"],"attributes":["_key","_nsubrecs"]}}}}`,
		`[200,{"people":{"count":2,"records":[{"_key":"Alice Cooper","work":"musician","born":"1970-01-01T00:00:00.000000Z"},
			{"_key":"Alice Arnold","work":"announcer","born":"`+localTime("2015-05-09 00:00:00")+`"}]},
		"jobs":{"count":2,"records":[["musician",2],["announcer",1]]}}]`)
	ask("search", `{"queries":{"q":{"source":"Person","condition":["-","age > 0",["||",{"query":"job:musician"},{"query":"Arnold","matchTo":["job"]}]],
		"output":{"elements":["records"],"attributes":["_key"]}}}}`, `[200,{"q":{"records":[["Alice Arnold"]]}}]`)
	ask("search", `{"queries":{"q":{"source":"Person","condition":"age <","output":{"elements":["count"]}}}}`,
		`[400,{"name":"SyntaxError","message":"Syntax error: syntax:<script> input:<(age <)>","detail":{"syntax":"script","input":"(age <)"}}]`)
	ask("search", `{"queries":{"q":{"source":"Nobody","output":{"elements":["count"]}}}}`,
		`[404,{"name":"UnknownSource","message":"Source not found: <Nobody> It must be a name of an existing table or another query.",
			"detail":{"q":{"source":"Nobody","output":{"elements":["count"]}}}}]`)
	ask("select", `{"table":"Person","output_columns":"_key,age","filter":"age > 25","sortby":"age","limit":1}`,
		`[200,[[0,0,0],[[[2],[["_key","ShortText"],["age","Int32"]],["Alice Cooper",30]]]]]`)
	ask("delete", `{"table":"Person","key":"Bob Ross"}`, `[200,[[0,0,0],true]]`)
	ask("select", `{"table":"Person","limit":0,"output_columns":"_key"}`, `[200,[[0,0,0],[[[2],[["_key","ShortText"]]]]]]`)
	ask("table_remove", `{"name":"Nobody"}`, `[200,[[-22,0,0],false]]`)
}

// localTime is how Groonga understands a time without a zone.
func localTime(text string) string {
	when, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.Local)
	if err != nil {
		panic(err)
	}
	return w3c(when)
}
