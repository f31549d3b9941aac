package groonga

import "regexp"

// slicedArgument is an argument of slices[LABEL]: a part of what was found, as a list of its own.
var slicedArgument = regexp.MustCompile(`^(slices?\[([^\]]*)\]\.)(.+)$`)

// slicedParameters are the parameters of slices[…] whose records can be merged.
var slicedParameters = map[string]bool{
	"filter": true, "query": true, "match_columns": true, "query_flags": true, "sort_keys": true, "sortby": true,
	"output_columns": true, "offset": true, "limit": true,
}

// planSlices plans the lists of slices[…].
func (p *SelectPlan) planSlices(c *Command) error {
	for _, a := range c.Args {
		m := slicedArgument.FindStringSubmatch(a.Name)
		if m == nil || a.Value == "" {
			continue
		}
		prefix, label, name := m[1], m[2], m[3]
		switch {
		case p.form.Type == "xml":
			return refuse("slices[…] in XML, of which Groonga writes the drilldowns' columns into them")
		case !slicedParameters[name] && !labelledArgument.MatchString(name):
			return refuse("the argument %s", a.Name)
		case labelledArgument.MatchString(name) && c.Get("drilldown") != "":
			return refuse("%s beside drilldown, which changes its form", a.Name)
		case (name == "query" || name == "filter" && escalating.MatchString(quoted.ReplaceAllString(a.Value, `""`))) && integer(c, "match_escalation_threshold", 0) >= 0:
			return refuse("a search for words in %s, which each slice would do less strictly for itself: ask with match_escalation_threshold=-1", a.Name)
		}
		if known := p.slice(label); known != nil {
			if known.prefix != prefix {
				return refuse("%s beside %s", prefix, known.prefix)
			}
			continue
		}
		l, err := p.planList(c, prefix)
		if err != nil {
			return err
		}
		l.label = label
		p.slices = append(p.slices, l)
	}
	return nil
}
