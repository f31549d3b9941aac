package groonga

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// drilldownPlan is one drilldown, or those that share the arguments drilldown_*.
//
// The columns that a slice is asked for are, in this order: the keys that tell
// groups apart, the sort keys, what an average is computed from, and then what the
// client asked for.
type drilldownPlan struct {
	label    string
	prefix   string   // of its arguments: "drilldown_", "drilldowns[LABEL]."
	identity []string // the columns that tell groups apart
	sort     []sortKey
	filter   *groupFilter // on what is computed of the groups, so that it has to wait for those of all slices
	average  bool         // _nsubrecs and _sum follow the sort keys, and what the filter looks at
	window   window
	exact    bool // numbers have all digits
}

// labelledArgument is an argument of a labelled drilldown.
var labelledArgument = regexp.MustCompile(`^drilldowns?\[([^\]]*)\]\.(.+)$`)

// planDrilldowns plans all drilldowns of a list. With unlabelled ones Groonga does not
// look at those with labels.
func (p *SelectPlan) planDrilldowns(c *Command, l *listPlan) error {
	exact := p.form.Type == "msgpack"
	if c.Get("drilldown") != "" && l.prefix == "" {
		d := &drilldownPlan{prefix: "drilldown_", exact: exact}
		// Each key of the list is a drilldown of its own.
		if err := d.plan(c, p.request, "_key"); err != nil {
			return err
		}
		l.drilldowns = []*drilldownPlan{d}
		return nil
	}
	l.labelled = true
	for _, a := range c.Args {
		name, ok := strings.CutPrefix(a.Name, l.prefix)
		m := labelledArgument.FindStringSubmatch(name)
		if !ok || m == nil || a.Value == "" || slices.ContainsFunc(l.drilldowns, func(d *drilldownPlan) bool { return d.label == m[1] }) {
			continue
		}
		d := &drilldownPlan{label: m[1], prefix: strings.TrimSuffix(a.Name, m[2]), exact: exact}
		keys := splitColumns(c.Get(d.prefix + "keys"))
		identity := "_key"
		if len(keys) > 1 {
			identity = "_value." + strings.Join(keys, ",_value.")
		}
		if len(keys) == 0 {
			continue // Groonga makes nothing of it
		}
		if err := d.plan(c, p.request, identity); err != nil {
			return err
		}
		l.drilldowns = append(l.drilldowns, d)
	}
	return nil
}

// refusedOfDrilldowns are parameters that would have to look at the merged groups.
var refusedOfDrilldowns = []string{"table", "adjuster", "columns", "max_n_target_records"}

// plan reads the parameters of one drilldown and sets what each slice is asked.
func (d *drilldownPlan) plan(c, request *Command, identity string) (err error) {
	for _, a := range c.Args {
		name, ok := strings.CutPrefix(a.Name, d.prefix)
		for _, refused := range refusedOfDrilldowns {
			if ok && a.Value != "" && (name == refused || strings.HasPrefix(name, refused+"[")) {
				return fmt.Errorf("%w: the argument %s", ErrNotSupported, a.Name)
			}
		}
	}
	d.identity = strings.Split(identity, ",")
	d.window = window{integer(c, d.prefix+"offset", 0), integer(c, d.prefix+"limit", 10)}
	keys := c.Get(d.prefix + "sort_keys")
	if keys == "" {
		keys = c.Get(d.prefix + "sortby")
	}
	if d.sort, err = sortKeys(keys); err != nil {
		return err
	}
	columns := splitColumns(c.Get(d.prefix + "output_columns"))
	if len(columns) == 0 {
		columns = []string{"_key", "_nsubrecs"}
	}
	if err := d.checkColumns(columns); err != nil {
		return err
	}
	if names := d.calculations(c); slices.Contains(names, "AVG") && !slices.Contains(names, "SUM") {
		// Only now there are sums, which the client has not asked for.
		d.sort = slices.DeleteFunc(d.sort, func(k sortKey) bool { return k.column == "_sum" })
	}
	asked := []string{identity}
	for _, k := range d.sort {
		asked = append(asked, k.column)
	}
	if err := d.planFilter(c, request); err != nil {
		return err
	}
	asked = append(asked, d.filter.columns()...)
	if columns, err = d.planAverage(c, request, columns); err != nil {
		return err
	}
	if d.average {
		asked = append(asked, "_nsubrecs", "_sum")
	}
	request.Set(d.prefix+"output_columns", strings.Join(append(asked, columns...), ","))
	request.Set(d.prefix+"offset", "0")
	request.Set(d.prefix+"limit", "-1")
	return nil
}

// calculations are the names in calc_types.
func (d *drilldownPlan) calculations(c *Command) []string {
	if c.Get(d.prefix+"calc_target") == "" {
		return nil
	}
	types := strings.ToUpper(c.Get(d.prefix + "calc_types"))
	return strings.FieldsFunc(types, func(r rune) bool { return strings.ContainsRune(", |\t", r) })
}

// planFilter leaves to the slices what a filter says of the groups' keys, and keeps what it
// says of numbers that are only known of the groups of all slices.
func (d *drilldownPlan) planFilter(c, request *Command) error {
	text := c.Get(d.prefix + "filter")
	if text == "" {
		return nil
	}
	if escalating.MatchString(quoted.ReplaceAllString(text, `""`)) {
		return fmt.Errorf("%w: a search for words in the groups of a drilldown, %sfilter", ErrNotSupported, d.prefix)
	}
	computed := map[string]bool{"_nsubrecs": true}
	for _, name := range d.calculations(c) {
		computed["_"+strings.ToLower(name)] = true
	}
	if computed["_avg"] && !computed["_sum"] && computedSum.MatchString(text) {
		return fmt.Errorf("%w: a filter by _sum without SUM among the calc_types", ErrNotSupported)
	}
	keys, filter, err := splitGroupFilter(text, computed)
	if err != nil {
		return err
	}
	if filter == nil {
		return nil
	}
	d.filter = filter
	request.Del(d.prefix + "filter")
	if keys != "" {
		request.Set(d.prefix+"filter", keys)
	}
	return nil
}

// checkColumns refuses columns of groups that cannot be put together from parts.
func (d *drilldownPlan) checkColumns(columns []string) error {
	for _, name := range columns {
		switch {
		case name == "_key" && len(d.identity) > 1:
			return fmt.Errorf("%w: the _key of a drilldown by several keys, which is made of record ids; ask for _value.COLUMN instead (drilldown output_columns)", ErrNotSupported)
		case name != "*" && (!plainColumn.MatchString(name) || strings.HasPrefix(name, "_") && strings.Contains(name, "-")):
			return fmt.Errorf("%w: %q of a drilldown, which is computed from one slice's groups", ErrNotSupported, name)
		}
	}
	for _, k := range d.sort {
		if k.column == "_key" && len(d.identity) > 1 {
			return fmt.Errorf("%w: to sort a drilldown by several keys by _key; sort by _value.COLUMN instead", ErrNotSupported)
		}
	}
	return nil
}

// planAverage has the sums given if averages are asked for: an average of all is the
// sum of all through the number of all. It returns columns without a _sum that only
// now would be there.
func (d *drilldownPlan) planAverage(c, request *Command, columns []string) ([]string, error) {
	names := d.calculations(c)
	d.average = slices.Contains(names, "AVG")
	if slices.Contains(names, "MEAN") {
		return nil, fmt.Errorf("%w: the calculation MEAN", ErrNotSupported)
	}
	if !d.average || slices.Contains(names, "SUM") {
		return columns, nil
	}
	request.Set(d.prefix+"calc_types", strings.Join(append(names, "SUM"), ","))
	return slices.DeleteFunc(columns, func(name string) bool { return name == "_sum" }), nil
}

// splitColumns splits a list of columns.
func splitColumns(list string) (names []string) {
	for _, name := range strings.Split(commas(strings.TrimSpace(list)), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
