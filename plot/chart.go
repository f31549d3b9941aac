package plot

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Point is one value of a series. X counts in Lines only.
type Point struct{ X, Y float64 }

// Series is one line, or the bars of one colour. A Y that is not above zero is
// left out: it was not measured.
type Series struct {
	Name   string
	Points []Point
}

// Chart is what is to be drawn. Values above zero only; the y axis is logarithmic.
type Chart struct {
	Title  string
	X, Y   string // what the axes are, with unit
	Names  []string
	Series []Series
}

// The size in pixels, and what is left around the drawing.
const (
	width, height            = 760, 420
	left, right, top, bottom = 84, 24, 72, 62
)

// colours are told apart by those who see red and green alike, too.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// axis maps values to pixels, by their logarithm.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 {
	return a.from + (math.Log10(v)-a.low)/(a.high-a.low)*(a.to-a.from)
}

// logAxis covers values in whole decades.
func logAxis(values []float64, from, to float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			low, high = min(low, math.Floor(math.Log10(v))), max(high, math.Ceil(math.Log10(v)))
		}
	}
	if low > high {
		low, high = 0, 1
	}
	if low == high {
		high++
	}
	return axis{low, high, from, to}
}

// canvas collects the elements.
type canvas struct{ strings.Builder }

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(c, format+"\n", args...) }

func (c *canvas) text(x, y float64, anchor, class, s string) {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	c.add(`<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, s)
}

// frame begins the drawing: title, legend and the y axis with its grid.
func (ch *Chart) frame(c *canvas) axis {
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">`, width, height)
	c.add(`<style>text{font-family:sans-serif;font-size:12px;fill:#333}.t{font-size:15px;font-weight:bold}.g{stroke:#ddd}.a{stroke:#333}</style>`)
	c.add(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	c.text(left, 26, "start", "t", ch.Title)
	x := float64(left)
	for i, s := range ch.Series {
		c.add(`<rect x="%.1f" y="40" width="12" height="12" fill="%s"/>`, x, colours[i%len(colours)])
		c.text(x+17, 50, "start", "l", s.Name)
		x += 34 + 7*float64(len(s.Name))
	}
	var ys []float64
	for _, s := range ch.Series {
		for _, p := range s.Points {
			ys = append(ys, p.Y)
		}
	}
	y := logAxis(ys, height-bottom, top)
	for d := y.low; d <= y.high; d++ {
		at := y.at(math.Pow(10, d))
		c.add(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="g"/>`, left, width-right, at, at)
		c.text(left-8, at+4, "end", "n", number(math.Pow(10, d)))
	}
	c.add(`<line x1="%d" x2="%d" y1="%d" y2="%d" class="a"/>`, left, width-right, height-bottom, height-bottom)
	c.text((left+width-right)/2, height-14, "middle", "l", ch.X)
	c.add(`<g transform="translate(18 %d) rotate(-90)">`, (top+height-bottom)/2)
	c.text(0, 0, "middle", "l", ch.Y)
	c.add(`</g>`)
	return y
}

// Lines draws each series as a line over a logarithmic x axis.
func (ch *Chart) Lines() string {
	var c canvas
	y := ch.frame(&c)
	var xs []float64
	for _, s := range ch.Series {
		for _, p := range s.Points {
			xs = append(xs, p.X)
		}
	}
	x := logAxis(xs, left+10, width-right-10)
	for d := x.low; d <= x.high; d++ {
		at := x.at(math.Pow(10, d))
		c.add(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" class="g"/>`, at, at, top, height-bottom)
		c.text(at, height-bottom+18, "middle", "n", number(math.Pow(10, d)))
	}
	for i, s := range ch.Series {
		colour := colours[i%len(colours)]
		var path strings.Builder
		for _, p := range s.Points {
			if p.Y > 0 && p.X > 0 {
				fmt.Fprintf(&path, " %.1f,%.1f", x.at(p.X), y.at(p.Y))
				c.add(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s: %s</title></circle>`, x.at(p.X), y.at(p.Y), colour, number(p.X), number(p.Y))
			}
		}
		c.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.TrimSpace(path.String()), colour)
	}
	c.add(`</svg>`)
	return c.String()
}

// Bars draws for each of Names one bar of each series; the i-th point of a series
// is that of the i-th name.
func (ch *Chart) Bars() string {
	var c canvas
	y := ch.frame(&c)
	room := float64(width-left-right) / float64(max(1, len(ch.Names)))
	wide := room * 0.8 / float64(max(1, len(ch.Series)))
	for n, name := range ch.Names {
		from := left + room*(float64(n)+0.1)
		for i, s := range ch.Series {
			if n >= len(s.Points) || s.Points[n].Y <= 0 {
				continue
			}
			v := s.Points[n].Y
			at, x := y.at(v), from+wide*float64(i)
			c.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, at, wide*0.92, height-bottom-at, colours[i%len(colours)])
			c.text(x+wide/2, at-4, "middle", "n", number(v))
		}
		c.words(from+room*0.4, height-bottom+16, name, room)
	}
	c.add(`</svg>`)
	return c.String()
}

// words writes a name below its bars, on two lines if it is longer than its room.
func (c *canvas) words(x, y float64, name string, room float64) {
	if 6.5*float64(len(name)) > room {
		if i := strings.LastIndexByte(name[:len(name)/2+4], ' '); i > 0 {
			c.text(x, y, "middle", "n", name[:i])
			c.text(x, y+14, "middle", "n", name[i+1:])
			return
		}
	}
	c.text(x, y, "middle", "n", name)
}

// number writes a value with three digits at most, thousands with a comma.
func number(v float64) string {
	switch {
	case v >= 1000:
		s := strconv.FormatFloat(v, 'f', 0, 64)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
