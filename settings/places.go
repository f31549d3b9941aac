package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/ibuki-dev/ibuki/agent"
)

// MDNSOptions are the settings of discovery by multicast.
type MDNSOptions struct {
	Interface   string `json:"interface"`
	DisableIPv4 bool   `json:"disable_ipv4"`
	DisableIPv6 bool   `json:"disable_ipv6"`
}

// UnmarshalJSON refuses keys that do not exist, as Decode does.
func (m *MDNSOptions) UnmarshalJSON(b []byte) error {
	type plain MDNSOptions // without this method
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(m))
}

// targets checks the form of the addresses to join by; what their names stand
// for is looked up when it is wanted, again and again.
func (o *Options) targets() error {
	var faults []error
	for _, list := range [][]string{o.StartJoin, o.RetryJoin} {
		for _, s := range list {
			_, host, _, err := agent.SplitTarget(s, agent.DefaultPort)
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

// servers checks the addresses that metrics are sent to.
func (o *Options) servers() error {
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
