package droonga

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"testing"
)

func mustPack(t testing.TB, v any) []byte {
	t.Helper()
	data, err := pack(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzForward reads anything as messages of clients, as far as to their commands.
func FuzzForward(f *testing.F) {
	record := map[string]any{
		"id": "1", "type": "search", "dataset": "Default", "replyTo": "h:1/t;connection_id=2", "timeout": 0.5,
		"body": map[string]any{"queries": map[string]any{"q": map[string]any{
			"source": "T", "groupBy": "c", "sortBy": map[string]any{"keys": []any{"-a"}, "limit": 3},
			"condition": []any{"&&", "a == 1", map[string]any{"query": "x", "matchTo": []any{"a"}}},
			"output":    map[string]any{"elements": []any{"records"}, "attributes": []any{"*", map[string]any{"label": "l", "source": "s"}}},
		}}},
	}
	one := mustPack(f, []any{1, record})
	f.Add(mustPack(f, []any{"droonga.message", 1, record}))
	f.Add(mustPack(f, []any{"droonga.message", []any{[]any{1, record}}, map[string]any{"chunk": "c"}}))
	f.Add(mustPack(f, []any{"droonga.message", one}))
	f.Add(mustPack(f, []any{"droonga.message", zipped(f, one), map[string]any{"compressed": "gzip"}}))
	f.Add(mustPack(f, []any{"droonga.add", 1, map[string]any{"table": "T", "key": 1, "values": map[string]any{"a": []any{1, nil}}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			fw, err := readForward(r, 1<<16)
			if err != nil {
				return
			}
			for _, e := range fw.entries {
				req, err := parseRequest(e.tag, e.record)
				if err != nil {
					continue
				}
				req.writes()
				_, _ = groongaCommand(&req)
				_, _ = parseAddition(&req)
				body, _ := req.body.(map[string]any)
				queries, _ := body["queries"].(map[string]any)
				parsed := make(map[string]*query)
				for name, raw := range queries {
					if q, err := parseQuery(name, raw); err == nil {
						parsed[name] = q
					}
				}
				for name, q := range parsed {
					if chain, err := chainOf(parsed, name); err == nil && q.output != nil {
						_, _ = command("", chain)
					}
				}
			}
		}
	})
}

// FuzzAnswer reads anything as a server's answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`[[0,1.5,0.25],[[[1],[["_key","ShortText"],["at","Time"]],["a",1.5]]]]`), false)
	f.Add([]byte(`[[0,1.5,0.25],[[[1],[]],{"groups":[[1],[["_key","ShortText"]],["a"]]}]]`), true)
	f.Add([]byte(`[[-22,1.5,0.25,"no",[]]]`), false)
	f.Fuzz(func(t *testing.T, text []byte, grouped bool) {
		doc, err := parseDocument(text)
		if err != nil {
			return
		}
		table, err := doc.table(grouped)
		if err != nil {
			return
		}
		for _, o := range []*output{
			{}, {complex: true}, {columns: []column{{"*", "*"}, {"a", "b"}}}, {columns: []column{{"a", "b"}}, complex: true},
		} {
			table.attributes(o, nil)
			table.records(o)
		}
	})
}
