// Package plot draws the few kinds of charts that the measurements need, as SVG
// text: lines over numbers and bars over names, with logarithmic axes. The same
// input gives the same bytes.
package plot
