package coordinate

import (
	"errors"
	"fmt"
)

// Config are the settings of a Client. New copies it. A zero value means
// Serf's value (see Default); all nodes of a cluster must agree on Dimensions.
type Config struct {
	// Dimensions is the length of the Euclidean part.
	Dimensions int
	// ErrorMax is the error to start from, and its upper bound.
	ErrorMax float64
	// CE is how far one observation can move the error, CC the coordinate;
	// both between 0 and 1.
	CE, CC float64
	// AdjustmentWindow is how many observations the adjustment is the mean
	// of. Negative: there is no adjustment.
	AdjustmentWindow int
	// HeightMin is the lower bound of the height, in seconds.
	HeightMin float64
	// FilterSize is how many observations of one node the median is taken of.
	FilterSize int
	// GravityRho is the distance from the origin, in seconds, at which
	// gravity pulls a whole second per observation.
	GravityRho float64
}

// Default returns Serf's settings.
func Default() Config {
	return Config{
		Dimensions:       8,
		ErrorMax:         1.5,
		CE:               0.25,
		CC:               0.25,
		AdjustmentWindow: 20,
		HeightMin:        10.0e-6,
		FilterSize:       3,
		GravityRho:       150,
	}
}

// dimensionsMax bounds what a Config can make a Client allocate.
const dimensionsMax = 64

// Validate returns all that is wrong with the settings, nil if nothing is.
func (c Config) Validate() error {
	var errs []error
	if c.Dimensions < 0 || c.Dimensions > dimensionsMax {
		errs = append(errs, fmt.Errorf("dimensions %d are not in 1 to %d", c.Dimensions, dimensionsMax))
	}
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"error max", c.ErrorMax}, {"CE", c.CE}, {"CC", c.CC},
		{"height min", c.HeightMin}, {"gravity rho", c.GravityRho},
	} {
		if !finite(f.value) || f.value < 0 {
			errs = append(errs, fmt.Errorf("%s %v is not a positive number", f.name, f.value))
		}
	}
	if c.CE > 1 || c.CC > 1 {
		errs = append(errs, fmt.Errorf("CE %v or CC %v is above 1", c.CE, c.CC))
	}
	if c.FilterSize < 0 {
		errs = append(errs, fmt.Errorf("filter size %d is negative", c.FilterSize))
	}
	return errors.Join(errs...)
}

// withDefaults returns c with its zero values replaced.
func (c Config) withDefaults() Config {
	d := Default()
	ints := []struct{ have, want *int }{
		{&c.Dimensions, &d.Dimensions},
		{&c.AdjustmentWindow, &d.AdjustmentWindow},
		{&c.FilterSize, &d.FilterSize},
	}
	for _, v := range ints {
		if *v.have == 0 {
			*v.have = *v.want
		}
	}
	floats := []struct{ have, want *float64 }{
		{&c.ErrorMax, &d.ErrorMax},
		{&c.CE, &d.CE},
		{&c.CC, &d.CC},
		{&c.HeightMin, &d.HeightMin},
		{&c.GravityRho, &d.GravityRho},
	}
	for _, v := range floats {
		if *v.have == 0 {
			*v.have = *v.want
		}
	}
	return c
}
