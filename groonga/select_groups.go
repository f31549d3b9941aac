package groonga

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// groupMerge joins the groups of one drilldown from all slices.
type groupMerge struct {
	plan    *drilldownPlan
	columns []column
	header  json.RawMessage
	order   order
	keys    int // how many columns tell groups apart
	hidden  int // columns before those that the client asked for
	average int // the index of _nsubrecs for averages, _sum after it; -1: none
	rows    [][]json.RawMessage
	index   map[string]int // a group's keys → its row
}

// add joins the groups of one more slice.
func (m *groupMerge) add(r result) error {
	if m.columns == nil {
		if err := m.begin(r); err != nil {
			return err
		}
	} else if !slices.Equal(r.columns, m.columns) {
		return fmt.Errorf("%w: the slices have different columns", errAnswer)
	}
	for _, data := range r.records {
		values, err := readRecord(data, len(r.columns))
		if err != nil {
			return err
		}
		key := string(joinValues(values[:m.keys]))
		i, known := m.index[key]
		if !known {
			m.index[key] = len(m.rows)
			m.rows = append(m.rows, values)
			continue
		}
		if err := m.join(m.rows[i], values); err != nil {
			return err
		}
	}
	return nil
}

// begin reads what the columns are.
func (m *groupMerge) begin(r result) (err error) {
	m.columns, m.average = r.columns, -1
	for _, name := range m.plan.identity {
		if m.keys == len(r.columns) || !sameColumn(name, r.columns[m.keys].name) {
			return fmt.Errorf("%w: a drilldown by %s, which is no column", ErrNotSupported, strings.TrimPrefix(name, "_value."))
		}
		m.keys++
	}
	n := 0
	if m.order, n, err = newOrder(m.plan.sort, r.columns, m.keys); err != nil {
		return err
	}
	filtered, err := m.plan.filter.bind(r.columns, m.keys+n)
	if err != nil {
		return err
	}
	m.hidden = m.keys + n + filtered
	if m.plan.average {
		i := m.hidden
		if len(r.columns) < i+2 || r.columns[i].name != "_nsubrecs" || r.columns[i+1].name != "_sum" {
			// The target of the calculation is no column: no averages then.
			if len(r.columns) > i && r.columns[i].name == "_nsubrecs" {
				m.hidden++
			}
		} else {
			m.average, m.hidden = i, i+2
		}
	}
	m.header, err = cutHeader(r.header, m.hidden)
	return err
}

// join adds a slice's group to the one that is there.
func (m *groupMerge) join(into, more []json.RawMessage) error {
	var average json.RawMessage
	if m.average >= 0 {
		var err error
		if average, err = m.joinAverage(into, more); err != nil {
			return err
		}
	}
	for i := m.keys; i < len(m.columns); i++ {
		var err error
		switch m.columns[i].name {
		case "_nsubrecs", "_sum":
			into[i], err = m.combine(into[i], more[i], m.columns[i].typ, func(a, b int64) int64 { return a + b }, func(a, b float64) float64 { return a + b })
		case "_min":
			into[i], err = m.combine(into[i], more[i], m.columns[i].typ, minOf[int64], minOf[float64])
		case "_max":
			into[i], err = m.combine(into[i], more[i], m.columns[i].typ, maxOf[int64], maxOf[float64])
		case "_avg":
			if average == nil {
				return fmt.Errorf("%w: _avg without AVG among the calc_types", ErrNotSupported)
			}
			into[i] = average
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func minOf[T int64 | float64](a, b T) T { return min(a, b) }
func maxOf[T int64 | float64](a, b T) T { return max(a, b) }

// joinAverage computes the average of both groups. It is called before their sums
// and numbers are joined.
func (m *groupMerge) joinAverage(into, more []json.RawMessage) (json.RawMessage, error) {
	at := slices.IndexFunc(m.columns, func(c column) bool { return c.name == "_avg" })
	sum, number := 0.0, 0.0
	for _, values := range [][]json.RawMessage{into, more} {
		n, err1 := strconv.ParseFloat(string(values[m.average]), 64)
		s, err2 := strconv.ParseFloat(string(values[m.average+1]), 64)
		if err1 != nil || err2 != nil {
			return nil, errAnswer
		}
		sum, number = sum+s, number+n
		if at < 0 {
			continue
		}
		// Of a vector each element counts, and how many there were nobody says.
		average, err := strconv.ParseFloat(string(values[at]), 64)
		if err != nil {
			return nil, errAnswer
		}
		if math.Abs(average*n-s) > 1e-6*math.Max(1, math.Abs(s)) {
			return nil, fmt.Errorf("%w: the average of a column that is a vector, or overflows", ErrNotSupported)
		}
	}
	return m.finite(sum / number)
}

// combine computes with two numbers of a column's type.
func (m *groupMerge) combine(a, b json.RawMessage, typ string, ints func(a, b int64) int64, floats func(a, b float64) float64) (json.RawMessage, error) {
	if strings.HasPrefix(typ, "Int") || strings.HasPrefix(typ, "UInt") {
		x, err1 := strconv.ParseInt(string(a), 10, 64)
		y, err2 := strconv.ParseInt(string(b), 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%w: a number of a drilldown", errAnswer)
		}
		return strconv.AppendInt(nil, ints(x, y), 10), nil
	}
	x, err1 := strconv.ParseFloat(string(a), 64)
	y, err2 := strconv.ParseFloat(string(b), 64)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%w: a number of a drilldown", errAnswer)
	}
	return m.finite(floats(x, y))
}

// finite writes a computed number. What has overflowed is refused: JSON has no
// notation for it.
func (m *groupMerge) finite(f float64) (json.RawMessage, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, fmt.Errorf("%w: a number of a drilldown that overflows", ErrNotSupported)
	}
	if m.plan.exact {
		return exactFloat(f), nil
	}
	return json.RawMessage(formatFloat(f)), nil
}

// formatFloat writes a number as Groonga does: 16 digits, and always with a point.
func formatFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', 16, 64)
	mantissa, exponent, _ := strings.Cut(s, "e")
	if strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(mantissa, "0")
		if strings.HasSuffix(mantissa, ".") {
			mantissa += "0"
		}
	} else {
		mantissa += ".0"
	}
	if exponent != "" {
		return mantissa + "e" + exponent
	}
	return mantissa
}

// result sorts the groups and cuts the window out of them.
func (m *groupMerge) result() (r result, err error) {
	rows := make([]row, 0, len(m.rows))
	for _, values := range m.rows {
		if m.plan.filter != nil {
			if ok, err := m.plan.filter.holds(values); err != nil {
				return r, err
			} else if !ok {
				continue
			}
		}
		row, err := m.order.row(values)
		if err != nil {
			return r, err
		}
		rows = append(rows, row)
	}
	r = result{hits: int64(len(rows)), columns: m.columns[m.hidden:], header: m.header}
	slices.SortStableFunc(rows, func(a, b row) int { return m.order.less(&a, &b) })
	from, to := m.plan.window.of(r.hits, len(rows))
	for _, row := range rows[from:to] {
		r.records = append(r.records, joinValues(row.values[m.hidden:]))
	}
	return r, nil
}
