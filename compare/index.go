package compare

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

const (
	// mostFound is how many records are compared of what is found for some terms.
	mostFound = 200
	// mostTerms is for how many terms at once is searched.
	mostTerms = 32
	// mostConfirmed is how many records are compared at one position of what is found for a term.
	mostConfirmed = 5000
)

// searches compares what is found through an index.
type searches struct {
	*pass
	lexicon *table
	index   index
	source  *table
	terms   int // for how many at once is searched now
}

// index compares what is found through an index for each term of its lexicon, of whichever
// server it is.
func (p *pass) index(ctx context.Context, lexicon *table, x index, source *table) error {
	s := &searches{pass: p, lexicon: lexicon, index: x, source: source, terms: 1}
	if lexicon.keyless {
		return nil
	}
	return p.pages(ctx, lexicon, lexicon.id(), func(pages []page) error {
		terms, err := union(pages)
		if err != nil {
			return err
		}
		for len(terms) > 0 {
			n := min(s.terms, len(terms))
			if err := s.search(ctx, terms[:n]); err != nil {
				return err
			}
			terms = terms[n:]
		}
		return nil
	})
}

// union are the keys that are in any of the pages.
func union(pages []page) (keys []string, err error) {
	seen := make(map[string]bool)
	for i := range pages {
		if i > 0 && bytes.Equal(pages[i].rest, pages[0].rest) {
			continue
		}
		rows, err := pages[i].rows()
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if !seen[r.key] {
				seen[r.key] = true
				keys = append(keys, r.key)
			}
		}
	}
	return keys, nil
}

// command searches for any of some terms through the index.
func (s *searches) command(terms []string, limit int) *groonga.Command {
	name := s.lexicon.name + "." + s.index.name
	parts := make([]string, len(terms))
	for i, term := range terms {
		parts[i] = name + " @ " + literal(term, s.lexicon.keyType)
	}
	return selectCommand(s.source.name, s.source.id()+",_score", "limit", strconv.Itoa(limit), "filter", strings.Join(parts, " || "))
}

// search compares what is found for some terms. If that is much, or not the same, it takes
// fewer of them at once, down to each by itself.
func (s *searches) search(ctx context.Context, terms []string) error {
	limit := mostFound
	if s.Full && len(terms) == 1 {
		limit = -1
	}
	answers, err := s.all(ctx, s.command(terms, limit))
	if err != nil {
		return err
	}
	equal, hits, err := s.equal(answers, limit)
	if err != nil {
		return err
	}
	if err := s.rest(ctx, 1+min(int(hits), mostFound)/20); err != nil {
		return err
	}
	much := hits > mostFound
	if equal && (!much || len(terms) == 1) {
		s.Terms += uint64(len(terms))
		if !much && hits < mostFound/3 {
			s.terms = min(2*s.terms, mostTerms)
		}
		return nil
	}
	if len(terms) > 1 {
		s.terms = max(1, len(terms)/2)
		for half := range slices.Chunk(terms, s.terms) {
			if err := s.search(ctx, half); err != nil {
				return err
			}
		}
		return nil
	}
	s.Terms++
	return s.confirm(ctx, terms[0])
}

// equal reports whether the same was found, records aside that are known to differ, and how
// much was found at most.
func (s *searches) equal(answers []groonga.Answer, limit int) (equal bool, hits uint64, err error) {
	pages := make([]page, len(answers))
	equal = true
	for i := range answers {
		if pages[i], err = readPage(&answers[i]); err != nil {
			return false, 0, err
		}
		hits = max(hits, pages[i].hits)
		equal = equal && pages[i].hits == pages[0].hits && bytes.Equal(pages[i].rest, pages[0].rest)
	}
	if equal {
		return true, hits, nil
	}
	wrong := s.wrong[s.source.name]
	if s.loose[s.source.name] {
		return !slices.ContainsFunc(pages, func(p page) bool { return p.hits != hits }), hits, nil
	}
	if limit > 0 && hits > uint64(limit) { // only how much it is can be compared
		if len(wrong) > 0 {
			return true, hits, nil
		}
		same := !slices.ContainsFunc(pages, func(p page) bool { return p.hits != hits })
		return same, hits, nil
	}
	found := make([]digest, len(pages))
	for i := range pages {
		rows, err := pages[i].rows()
		if err != nil {
			return false, 0, err
		}
		for j := range rows {
			if !wrong[rows[j].key] {
				found[i].add(rows[j].text)
			}
		}
	}
	return sameDigests(found), hits, nil
}

// confirm asks at one position for a term that differs.
func (s *searches) confirm(ctx context.Context, term string) error {
	var values []string
	for range confirmations {
		answers, err := s.at(ctx, s.command([]string{term}, mostConfirmed))
		if err != nil {
			return err
		}
		if err := s.records(ctx, answers); err != nil {
			return err
		}
		equal, _, err := s.equal(answers, mostConfirmed)
		if err != nil || equal {
			return err
		}
		if values, err = s.values(answers); err != nil {
			return err
		}
	}
	return s.note(Difference{Kind: Index, Table: s.lexicon.name, Column: s.index.name, Key: term, Values: values}.judged())
}

// records compares the records that not all have found: if they differ themselves, by now,
// the index is right.
func (s *searches) records(ctx context.Context, answers []groonga.Answer) error {
	if s.loose[s.source.name] {
		return nil
	}
	keys, err := unlike(answers, s.wrong[s.source.name])
	if err != nil || len(keys) > mostFound {
		return err
	}
	for list := range slices.Chunk(keys, atOnce) {
		if err := s.pass.confirm(ctx, s.source, list); err != nil {
			return err
		}
	}
	return nil
}

// unlike are the keys of what not all have found, or found otherwise, without those that are
// known to be wrong.
func unlike(answers []groonga.Answer, wrong map[string]bool) (keys []string, err error) {
	found, err := byKey(answers)
	if err != nil {
		return nil, err
	}
	for key, texts := range found { // order-free: sorted below
		if !wrong[key] && !same(texts) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// values say what each server finds.
func (s *searches) values(answers []groonga.Answer) (list []string, err error) {
	for i := range answers {
		pg, err := readPage(&answers[i])
		if err != nil {
			return nil, err
		}
		rows, err := pg.rows()
		if err != nil {
			return nil, err
		}
		var d digest
		for j := range rows {
			d.add(rows[j].text)
		}
		list = append(list, fmt.Sprintf("%d records, checksum %016x", pg.hits, d.sum))
	}
	return list, nil
}
