package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The defaults of Generate.
const (
	DefaultPort    = 10041     // of Groonga's HTTP server
	DefaultTag     = "droonga" // as droonga-engine has it
	DefaultDataset = "Default"
)

// Plan is what Generate makes a catalog of.
type Plan struct {
	// Hosts are the nodes' names (M14), or addresses; "host:port" for one whose
	// servers do not begin at Port.
	Hosts []string
	// Replicas is how many copies there are of each slice; 0: as many as the hosts
	// allow.
	Replicas int
	Slices   int    // 0: 1
	Port     int    // of the first server on each host; 0: DefaultPort
	Tag      string // "": DefaultTag
	Dataset  string // "": DefaultDataset
	// Fact is the table that is cut into slices, the others being whole on each server;
	// "": all are cut.
	Fact string
	// Effective is the date of the catalog, as it is to be written; "": none.
	Effective string
}

// Errors of Generate.
var (
	ErrNoHosts     = errors.New("no hosts")
	ErrTooFewHosts = errors.New("the replicas of a slice would share a host")
	ErrIdleHosts   = errors.New("a host would have nothing to do")
)

// The shape of a written catalog, in the order of the original's generator.
type (
	catalogJSON struct {
		Version   int                    `json:"version"`
		Effective string                 `json:"effectiveDate,omitempty"`
		Datasets  map[string]datasetJSON `json:"datasets"` // one
	}
	datasetJSON struct {
		Workers  int           `json:"nWorkers"`
		Plugins  []string      `json:"plugins"`
		Schema   struct{}      `json:"schema"`
		Fact     string        `json:"fact,omitempty"`
		Replicas []replicaJSON `json:"replicas"`
	}
	replicaJSON struct {
		Dimension string      `json:"dimension"`
		Slicer    string      `json:"slicer"`
		Slices    []sliceJSON `json:"slices"`
	}
	sliceJSON struct {
		Label  string     `json:"label"`
		Weight int        `json:"weight"`
		Volume volumeJSON `json:"volume"`
	}
	volumeJSON struct {
		Address string `json:"address"`
	}
)

// defaultPlugins are the original's; it does not start without any.
var defaultPlugins = []string{"groonga", "search", "crud", "dump", "system", "catalog"}

// Generate writes a catalog of version 2 that spreads replicas and slices evenly over
// the hosts. The replicas of a slice are on different hosts; of a host that has several
// volumes each is a server of its own, at the next port.
func Generate(p Plan) ([]byte, error) {
	p.defaults()
	if err := p.check(); err != nil {
		return nil, err
	}
	d := datasetJSON{Workers: 4, Plugins: defaultPlugins, Fact: p.Fact}
	used := make([]int, len(p.Hosts)) // servers on each host
	addresses := make([][]string, p.Slices)
	for s := range p.Slices {
		for r := range p.Replicas {
			i := (s*p.Replicas + r) % len(p.Hosts)
			address, err := p.address(i, used[i], s)
			if err != nil {
				return nil, err
			}
			used[i]++
			addresses[s] = append(addresses[s], address)
		}
	}
	width := len(strconv.Itoa(p.Slices - 1))
	for r := range p.Replicas {
		replica := replicaJSON{Dimension: "_key", Slicer: slicerHash}
		for s := range p.Slices {
			replica.Slices = append(replica.Slices, sliceJSON{fmt.Sprintf("slice%0*d", width, s), 1, volumeJSON{addresses[s][r]}})
		}
		d.Replicas = append(d.Replicas, replica)
	}
	text, err := json.MarshalIndent(catalogJSON{2, p.Effective, map[string]datasetJSON{p.Dataset: d}}, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	_, err = Parse(text) // a host may be no host
	return text, err
}

func (p *Plan) defaults() {
	p.Slices = max(p.Slices, 1)
	if p.Replicas == 0 {
		p.Replicas = max(1, len(p.Hosts)/p.Slices)
	}
	if p.Port == 0 {
		p.Port = DefaultPort
	}
	if p.Tag == "" {
		p.Tag = DefaultTag
	}
	if p.Dataset == "" {
		p.Dataset = DefaultDataset
	}
}

// check refuses what would be no cluster that survives a host.
func (p *Plan) check() error {
	switch n := len(p.Hosts); {
	case n == 0:
		return ErrNoHosts
	case p.Slices > maxSlices || p.Replicas < 1 || p.Slices*p.Replicas > maxVolumes:
		return fmt.Errorf("%d replicas of %d slices: at most %d volumes are possible", p.Replicas, p.Slices, maxVolumes)
	case p.Replicas > n:
		return fmt.Errorf("%w: %d replicas need as many hosts, there are %d", ErrTooFewHosts, p.Replicas, n)
	case p.Replicas*p.Slices < n:
		return fmt.Errorf("%w: %d replicas of %d slices are %d volumes, for %d hosts", ErrIdleHosts, p.Replicas, p.Slices, p.Replicas*p.Slices, n)
	}
	sorted := slices.Sorted(slices.Values(p.Hosts))
	for i := range sorted[1:] {
		if sorted[i] == sorted[i+1] {
			return fmt.Errorf("the host %s is given twice", sorted[i])
		}
	}
	return nil
}

// address is that of the nth server of host i, for slice s.
func (p *Plan) address(i, n, s int) (string, error) {
	host, port := p.Hosts[i], p.Port
	// An IPv6 address has colons of its own, and a port only behind a bracket.
	if at := strings.LastIndexByte(host, ':'); at >= 0 && (strings.Count(host, ":") == 1 || host[at-1] == ']') {
		first, err := strconv.ParseUint(host[at+1:], 10, 16)
		if err != nil {
			return "", fmt.Errorf("%q: the port has to be a number from 1 to 65535", host)
		}
		host, port = host[:at], int(first)
	}
	text := fmt.Sprintf("%s:%d/%s.%03d", host, port+n, p.Tag, s)
	_, err := ParseAddress(text)
	return text, err
}
