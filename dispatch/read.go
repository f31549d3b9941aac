package dispatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ibuki-dev/ibuki/groonga"
)

// read asks one replica of each slice, and makes one answer of theirs.
func (d *Dispatcher) read(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	l := ds.readable()
	if len(l.parts) == 1 {
		return d.ask(ctx, l.parts[0].volumes, c)
	}
	if groonga.SameEverywhere(c.Name) || ds.fact != "" && c.Get("table") != ds.fact && c.Name != "dump" {
		return d.ask(ctx, l.all, c) // all slices have it
	}
	if c.Name == "dump" {
		return d.dumpAll(ctx, ds, l, c)
	}
	if c.Name != "select" {
		return groonga.Answer{}, fmt.Errorf("%s: %w", c.Name, groonga.ErrNotSupported)
	}
	return d.selectAll(ctx, ds, l, c)
}

// dumpAll dumps one slice, and the records of the others.
func (d *Dispatcher) dumpAll(ctx context.Context, ds *dataset, l *layout, c *groonga.Command) (groonga.Answer, error) {
	first, rest := groonga.PlanDump(c, ds.fact)
	if ds.fact == "" && rest != nil {
		schema, err := d.ask(ctx, l.all, groonga.DumpSchemaCommand())
		if err == nil {
			err = groonga.CheckDump(schema.Body)
		}
		if err != nil {
			return groonga.Answer{}, err
		}
	}
	answer, err := d.ask(ctx, l.parts[0].volumes, first)
	if err != nil || answer.Code != 0 || rest == nil {
		return answer, err
	}
	dumps := []string{string(answer.Body)}
	for _, p := range l.parts[1:] {
		more, err := d.ask(ctx, p.volumes, rest)
		if err != nil || more.Code != 0 {
			return more, err
		}
		dumps = append(dumps, string(more.Body))
	}
	answer.Body = groonga.JoinDumps(dumps, ds.fact)
	return answer, nil
}

// selectAll searches all slices and merges what they found.
func (d *Dispatcher) selectAll(ctx context.Context, ds *dataset, l *layout, c *groonga.Command) (groonga.Answer, error) {
	schema, err := d.schema(ctx, ds)
	if err != nil {
		return groonga.Answer{}, err
	}
	plan, err := groonga.PlanSelect(c, groonga.Cut{Fact: ds.fact, Schema: schema})
	if err != nil {
		return groonga.Answer{}, err
	}
	for {
		answers, err := d.askAll(ctx, l, plan.Request())
		if err != nil {
			return groonga.Answer{}, err
		}
		docs := make([][]byte, len(answers))
		for i := range answers {
			if docs[i], err = plan.Document(answers[i].Body); err != nil {
				return groonga.Answer{}, err
			}
			answers[i].Body = docs[i]
		}
		first := answers[max(0, slices.IndexFunc(answers, func(a groonga.Answer) bool { return a.Code != 0 }))]
		if first.Code != 0 {
			return d.failure(ctx, l, c, first)
		}
		if plan.Again(docs) {
			continue
		}
		first.Body, err = plan.Merge(docs)
		first.ContentType = plan.ContentType()
		return first, err
	}
}

// failure has the slices say what is wrong with a command, in the client's words and form:
// they were asked another one. What Groonga says of a bad expression depends on whether the
// window has any records, which differ from slice to slice.
func (d *Dispatcher) failure(ctx context.Context, l *layout, c *groonga.Command, failed groonga.Answer) (groonga.Answer, error) {
	refused := fmt.Errorf("%w: a server says: %s", groonga.ErrNotSupported, groonga.Message(failed.Body))
	windowed := c.Get("offset") != "" && c.Get("offset") != "0" || strings.HasPrefix(c.Get("limit"), "-")
	if windowed && strings.Contains(groonga.Message(failed.Body), "Syntax error") {
		return groonga.Answer{}, refused
	}
	answers, err := d.askAll(ctx, l, c)
	if err != nil {
		return groonga.Answer{}, err
	}
	plain, err := d.askAll(ctx, l, c.Asked())
	if err != nil {
		return groonga.Answer{}, err
	}
	for i, a := range answers {
		if a.Code == 0 || a.Code != answers[0].Code || groonga.Message(plain[i].Body) != groonga.Message(plain[0].Body) {
			return groonga.Answer{}, refused
		}
	}
	return answers[0], nil
}

// askAll asks each part the same and returns the answers in the order of the parts.
func (d *Dispatcher) askAll(ctx context.Context, l *layout, c *groonga.Command) ([]groonga.Answer, error) {
	answers := make([]groonga.Answer, len(l.parts))
	errs := make([]error, len(l.parts))
	var wg sync.WaitGroup
	for i, p := range l.parts[1:] {
		wg.Go(func() { answers[i+1], errs[i+1] = d.ask(ctx, p.volumes, c) })
	}
	answers[0], errs[0] = d.ask(ctx, l.parts[0].volumes, c)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("slice %s: %w", l.parts[i].label, err)
		}
	}
	return answers, nil
}
