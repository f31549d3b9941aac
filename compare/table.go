package compare

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

const (
	// confirmations is how many times in a row something has to differ at one position: a
	// server that was started anew in between may answer once from a later one.
	confirmations = 2
	// pageBytes is how long a page is to be.
	pageBytes = 512 << 10
	firstPage = 100 // records of the first page
	mostPage  = 2000
	// atOnce is how many records are asked for by their keys.
	atOnce = 50
	// atOnceBytes is how long those may be together, and atOnceKeys their keys.
	atOnceBytes = 1 << 20
	atOnceKeys  = 4 << 10
	// longestRow is how long a record may be that is asked for at one position.
	longestRow = 16 << 20
	// mostWhole is how many records of a table without keys are read at one position.
	mostWhole = 50000
)

// columns are what is read of a table's records; the first names a record.
func (t *table) read() string {
	list := []string{t.id()}
	if t.value {
		list = append(list, "_value")
	}
	return strings.Join(append(list, t.columns...), ",")
}

func selectCommand(table, columns string, pairs ...string) *groonga.Command {
	return command("select", append([]string{"table", table, "output_columns", columns, "command_version", "1", "cache", "no"}, pairs...)...)
}

// table compares the records of a table.
func (p *pass) table(ctx context.Context, t *table) error {
	for parts := uint64(1); parts <= 256; parts *= 16 {
		overflow, err := p.inParts(ctx, t, parts)
		if err != nil || !overflow {
			return err
		}
	}
	p.Undecided = append(p.Undecided, t.name+": too many records differ, or are in another order")
	return nil
}

// inParts goes through a table once for each part of its keys.
func (p *pass) inParts(ctx context.Context, t *table, parts uint64) (overflow bool, err error) {
	for part := range parts {
		left := newPool(p.n, p.MaxBytes)
		whole := make([]digest, p.n)
		err := p.pages(ctx, t, t.read(), func(pages []page) error {
			return p.hold(t, left, whole, pages, func(key string) bool { return hashOf(key)%parts == part })
		})
		switch {
		case err != nil:
			return false, err
		case len(left.pending) == 0:
			continue
		case t.keyless && !left.mostly(whole):
			return false, p.keyless(ctx, t, whole)
		case left.overflow:
			return true, nil
		}
		if err := p.records(ctx, t, left); err != nil {
			return false, err
		}
	}
	return false, nil
}

// mostly reports whether most records were the same under the same ids.
func (p *pool) mostly(whole []digest) bool {
	return !p.overflow && !sameDigests(whole) && uint64(len(p.pending)) < whole[0].count/2+atOnce
}

func sameDigests(list []digest) bool {
	return !slices.ContainsFunc(list, func(d digest) bool { return d != list[0] })
}

// pages reads a table page by page, of all servers at the same time.
func (p *pass) pages(ctx context.Context, t *table, columns string, take func([]page) error) error {
	size := firstPage
	for offset := 0; ; {
		c := selectCommand(t.name, columns, "limit", strconv.Itoa(size), "offset", strconv.Itoa(offset))
		answers, err := p.all(ctx, c)
		if err != nil {
			return err
		}
		pages := make([]page, p.n)
		longest := 1
		var most uint64
		for i := range answers {
			if pages[i], err = readPage(&answers[i]); err != nil {
				return err
			}
			longest, most = max(longest, len(answers[i].Body)), max(most, pages[i].hits)
		}
		if err := take(pages); err != nil {
			return err
		}
		read := min(size, max(0, int(most)-offset))
		p.Records += uint64(read)
		p.Report(p.Progress)
		offset += size
		if uint64(offset) >= most {
			return ctx.Err()
		}
		if err := p.rest(ctx, read); err != nil {
			return err
		}
		size = min(max(1, int(int64(size)*pageBytes/int64(longest))), 2*size, mostPage)
	}
}

// hold holds the pages of all servers against each other.
func (p *pass) hold(t *table, left *pool, whole []digest, pages []page, mine func(key string) bool) error {
	equal := true
	for i := range pages {
		equal = equal && bytes.Equal(pages[i].rest, pages[0].rest)
	}
	if equal && !t.keyless {
		return nil
	}
	for i := range pages {
		rows, err := pages[i].rows()
		if err != nil {
			return err
		}
		for j := range rows {
			if t.keyless {
				whole[i].add(rows[j].content())
			}
			if !equal && mine(rows[j].key) {
				left.add(i, &rows[j])
			}
		}
	}
	return nil
}

// byKeys asks for records by their keys.
func (t *table) byKeys(keys []string) *groonga.Command {
	values := make([]string, len(keys))
	filter := ""
	for i, key := range keys {
		values[i] = literal(key, t.keyType)
		if t.keyless {
			values[i] = "_id == " + key
		}
	}
	if t.keyless {
		filter = strings.Join(values, " || ")
	} else {
		filter = "in_values(_key, " + strings.Join(values, ", ") + ")"
	}
	return selectCommand(t.name, t.read(), "limit", "-1", "filter", filter)
}

// records asks again for what is left of a table, and says what really differs.
func (p *pass) records(ctx context.Context, t *table, left *pool) error {
	for _, keys := range left.keys(atOnce, atOnceBytes, atOnceKeys) {
		if left.pending[keys[0]].bytes > longestRow { // then it is alone
			p.Undecided = append(p.Undecided, fmt.Sprintf("%s, key %s: it is longer than %d bytes", t.name, cut(keys[0]), longestRow))
			continue
		}
		for _, wait := range []time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond} {
			if err := p.Pause(ctx, wait); err != nil {
				return err
			}
			answers, err := p.all(ctx, t.byKeys(keys))
			if err != nil {
				return err
			}
			if keys, _, err = differing(keys, answers); err != nil {
				return err
			}
			if err := p.rest(ctx, len(keys)); err != nil {
				return err
			}
			if len(keys) == 0 {
				break
			}
		}
		if err := p.confirm(ctx, t, keys); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks at one position for records that differ.
func (p *pass) confirm(ctx context.Context, t *table, keys []string) error {
	var texts map[string][]string
	for range confirmations {
		if len(keys) == 0 {
			return nil
		}
		answers, err := p.at(ctx, t.byKeys(keys))
		if err != nil {
			return err
		}
		if keys, texts, err = differing(keys, answers); err != nil {
			return err
		}
	}
	for _, key := range keys {
		d := Difference{Kind: Record, Table: t.name, Key: key, Values: texts[key]}
		d.Column = t.columnOf(texts[key])
		if err := p.note(d.judged()); err != nil {
			return err
		}
	}
	return nil
}

// differing are the keys whose records are not the same in all answers, with those.
func differing(keys []string, answers []groonga.Answer) (list []string, texts map[string][]string, err error) {
	if texts, err = byKey(answers); err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		if values := texts[key]; values != nil && !same(values) {
			list = append(list, key)
		}
	}
	return list, texts, nil
}

// byKey are the records in answers, by key: of each server, "" if it has none.
func byKey(answers []groonga.Answer) (map[string][]string, error) {
	texts := make(map[string][]string)
	for i := range answers {
		pg, err := readPage(&answers[i])
		if err != nil {
			return nil, err
		}
		rows, err := pg.rows()
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if texts[r.key] == nil {
				texts[r.key] = make([]string, len(answers))
			}
			texts[r.key][i] = r.text
		}
	}
	return texts, nil
}

// columnOf is the first column in which records differ that all have; "" if there is none.
func (t *table) columnOf(texts []string) string {
	if slices.Contains(texts, "") {
		return ""
	}
	names := strings.Split(t.read(), ",")
	first := (&row{text: texts[0]}).cells()
	for _, text := range texts[1:] {
		cells := (&row{text: text}).cells()
		for i := range min(len(cells), len(first), len(names)) {
			if !bytes.Equal(cells[i], first[i]) {
				return names[i]
			}
		}
	}
	return ""
}

// keyless compares a table without keys whose records have other ids on other servers. whole
// is what was read of it while writes went on.
func (p *pass) keyless(ctx context.Context, t *table, whole []digest) error {
	p.loose[t.name] = true
	if sameDigests(whole) {
		return nil
	}
	const because = "it has no keys, its ids differ, and it"
	if whole[0].bytes > longestRow {
		p.Undecided = append(p.Undecided, fmt.Sprintf("%s: %s is longer than %d bytes", t.name, because, longestRow))
		return nil
	}
	values := make([]string, p.n)
	for range confirmations {
		answers, err := p.at(ctx, selectCommand(t.name, t.read(), "limit", strconv.Itoa(mostWhole)))
		if err != nil {
			return err
		}
		for i := range answers {
			pg, err := readPage(&answers[i])
			if err != nil {
				return err
			}
			if pg.hits > mostWhole {
				p.Undecided = append(p.Undecided, fmt.Sprintf("%s: %s has more than %d records", t.name, because, mostWhole))
				return nil
			}
			rows, err := pg.rows()
			if err != nil {
				return err
			}
			var d digest
			for j := range rows {
				d.add(rows[j].content())
			}
			values[i] = fmt.Sprintf("%d records, checksum %016x", d.count, d.sum)
		}
		if same(values) {
			return nil
		}
	}
	return p.note(Difference{Kind: Rows, Table: t.name, Values: values}.judged())
}
