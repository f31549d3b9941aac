package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// MDNSOptions are the settings of discovery by multicast.
type MDNSOptions struct {
	Interface   string `json:"interface"`
	DisableIPv4 bool   `json:"disable_ipv4"`
	DisableIPv6 bool   `json:"disable_ipv6"`
}

// UnmarshalJSON refuses keys that do not exist, as DecodeOptions does.
func (m *MDNSOptions) UnmarshalJSON(b []byte) error {
	type plain MDNSOptions // without this method
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(m))
}

// merge lets other, which counts more, override m. Either may be nil: nothing said.
func (m *MDNSOptions) merge(other *MDNSOptions) *MDNSOptions {
	if m == nil || other == nil {
		if m == nil {
			return other
		}
		return m
	}
	all := *m
	override(&all.Interface, other.Interface)
	override(&all.DisableIPv4, other.DisableIPv4)
	override(&all.DisableIPv6, other.DisableIPv6)
	return &all
}

// targets checks the form of the addresses to join by; what their names stand
// for is looked up when it is wanted, again and again.
func (o *Options) targets() error {
	var faults []error
	for _, list := range [][]string{o.StartJoin, o.RetryJoin} {
		for _, s := range list {
			_, host, _, err := splitTarget(s, DefaultPort)
			if err == nil && host == "" {
				err = errors.New("no host in address")
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("Invalid address to join '%s': %w", s, err))
			}
		}
	}
	return errors.Join(faults...)
}

// outputs reads where log lines and metrics go.
func (o *Options) outputs(c *Config) error {
	c.Syslog, c.SyslogFacility, c.StatsiteAddr, c.StatsdAddr = o.EnableSyslog, o.SyslogFacility, o.StatsiteAddr, o.StatsdAddr
	return errors.Join(checkServer("statsite", o.StatsiteAddr), checkServer("statsd", o.StatsdAddr))
}

// checkServer checks the form of HOST:PORT; empty is nobody.
func checkServer(what, addr string) error {
	if addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err == nil && host == "" {
		err = errors.New("no host in address")
	}
	if err == nil {
		var n uint64
		if n, err = strconv.ParseUint(port, 10, 16); err == nil && n == 0 {
			err = errors.New("port is 0")
		}
	}
	if err != nil {
		return fmt.Errorf("Invalid %s address '%s': %w", what, addr, err)
	}
	return nil
}
