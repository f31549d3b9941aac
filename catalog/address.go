package catalog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Address is where a single volume is: "host:port/tag.local".
type Address struct {
	Host  string // also the node's Serf name (M14)
	Port  uint16
	Tag   string
	Local string // the name of the database at that node; "" if the address has none
}

// addressForm is what the original takes for an address: the host may hold colons,
// the tag no dot.
var addressForm = regexp.MustCompile(`^(.+):([0-9]+)/([^.]+)(?:\.(.+))?$`)

// ParseAddress reads an address. The error says what is wrong with it.
func ParseAddress(s string) (Address, error) {
	m := addressForm.FindStringSubmatch(s)
	if m == nil || strings.ContainsAny(s, "\n\r") {
		return Address{}, fmt.Errorf("%q is not of the form host:port/tag.name", cut(s))
	}
	port, err := strconv.ParseUint(m[2], 10, 16)
	if err != nil || port == 0 {
		return Address{}, fmt.Errorf("%q: the port has to be from 1 to 65535", cut(s))
	}
	return Address{Host: m[1], Port: uint16(port), Tag: m[3], Local: m[4]}, nil
}

// String is the address as the catalog has it.
func (a Address) String() string {
	if a.Local == "" {
		return a.Node()
	}
	return a.Node() + "." + a.Local
}

// Node is the full name of the node: "host:port/tag", as droonga-engine names it.
func (a Address) Node() string {
	return fmt.Sprintf("%s:%d/%s", a.Host, a.Port, a.Tag)
}

// Name is the node's Serf name (M14): the host.
func (a Address) Name() string { return a.Host }

// HostPort is what a connection is made to. An IPv6 host is in brackets,
// whether the catalog had them or not.
func (a Address) HostPort() string {
	host := a.Host
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(a.Port))
}

// compareAddress orders by node, then by name there.
func compareAddress(a, b Address) int {
	if c := strings.Compare(a.Node(), b.Node()); c != 0 {
		return c
	}
	return strings.Compare(a.Local, b.Local)
}

// Live says whether the node of an address is alive. A nil Live holds all to be:
// so it is before anything else is known (M15).
type Live func(Address) bool

// is asks l, of which nil says yes.
func (l Live) is(a Address) bool { return l == nil || l(a) }
