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
	average  bool // _nsubrecs and _sum follow the sort keys
	window   window
}

// labelledArgument is an argument of a labelled drilldown.
var labelledArgument = regexp.MustCompile(`^drilldowns?\[([^\]]*)\]\.(.+)$`)

// planDrilldowns plans all drilldowns of c. With unlabelled ones Groonga does not
// look at those with labels.
func (p *SelectPlan) planDrilldowns(c *Command) error {
	if c.Get("drilldown") != "" {
		d := &drilldownPlan{prefix: "drilldown_"}
		// Each key of the list is a drilldown of its own.
		if err := d.plan(c, p.request, "_key"); err != nil {
			return err
		}
		p.drilldowns = []*drilldownPlan{d}
		return nil
	}
	p.labelled = true
	for _, a := range c.Args {
		m := labelledArgument.FindStringSubmatch(a.Name)
		if m == nil || a.Value == "" || slices.ContainsFunc(p.drilldowns, func(d *drilldownPlan) bool { return d.label == m[1] }) {
			continue
		}
		d := &drilldownPlan{label: m[1], prefix: strings.TrimSuffix(a.Name, m[2])}
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
		p.drilldowns = append(p.drilldowns, d)
	}
	return nil
}

// refusedOfDrilldowns are parameters that would have to look at the merged groups.
var refusedOfDrilldowns = []string{"filter", "table", "adjuster", "columns", "max_n_target_records"}

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
	asked := []string{identity}
	for _, k := range d.sort {
		asked = append(asked, k.column)
	}
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
	types := strings.ToUpper(c.Get(d.prefix + "calc_types"))
	names := strings.FieldsFunc(types, func(r rune) bool { return strings.ContainsRune(", |\t", r) })
	d.average = c.Get(d.prefix+"calc_target") != "" && slices.Contains(names, "AVG")
	if slices.Contains(names, "MEAN") {
		return nil, fmt.Errorf("%w: the calculation MEAN", ErrNotSupported)
	}
	if !d.average || slices.Contains(names, "SUM") {
		return columns, nil
	}
	request.Set(d.prefix+"calc_types", types+",SUM")
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
