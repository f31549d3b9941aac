package agent

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/mdns"

	"github.com/ibuki-dev/ibuki/serf"
)

const (
	// discoverFirst is the time between the first two looks around; it doubles up
	// to discoverMax, which is Serf's and kept as long as the agent runs.
	discoverFirst = 2 * time.Second
	discoverMax   = time.Minute
	// discoverWait is how long answers to one question are waited for.
	discoverWait = time.Second
	// maxFound is how many answers one look around takes.
	maxFound = 1024
)

// DiscoveryService is the name of the service that agents of a cluster announce.
func DiscoveryService(cluster string) string { return "_serf_" + cluster + "._tcp" }

// discovery announces this node by multicast DNS and joins whom it hears of. It
// runs beside the loop until the agent ends or leaves.
//
// Rule: whoever announces the cluster's service at an address that no live
// member has is joined. Nothing is remembered of former tries, so that a peer
// whose join failed, or that was lost since, is tried again at the next look.
type discovery struct {
	a       *Agent
	service string
	iface   *net.Interface // nil: the system's choice
	server  *mdns.Server
	logger  *log.Logger
}

// startDiscovery begins to answer and to look around.
func (a *Agent) startDiscovery() error {
	if a.cfg.Discover == "" {
		return nil
	}
	d := &discovery{a: a, service: DiscoveryService(a.cfg.Discover), logger: log.New(mdnsLog{a.faults}, "", 0)}
	if err := d.serve(); err != nil {
		return fmt.Errorf("Error starting mDNS listener: %w", err)
	}
	a.wg.Go(d.run)
	return nil
}

func (d *discovery) serve() (err error) {
	cfg := &d.a.cfg
	if cfg.DiscoverInterface != "" {
		if d.iface, err = net.InterfaceByName(cfg.DiscoverInterface); err != nil {
			return err
		}
		d.a.logger.Info("agent: Starting mDNS listener on interface " + d.iface.Name)
	}
	ip := net.IP(d.a.addr.Addr().AsSlice())
	zone, err := mdns.NewMDNSService(cfg.Name, d.service, "", "", int(d.a.addr.Port()), []net.IP{ip},
		[]string{fmt.Sprintf("Serf '%s' cluster", cfg.Discover)})
	if err != nil {
		return err
	}
	d.server, err = mdns.NewServer(&mdns.Config{Zone: zone, Iface: d.iface, Logger: d.logger})
	return err
}

func (d *discovery) run() {
	defer func() { _ = d.server.Shutdown() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := discoverFirst; ; pause = min(2*pause, discoverMax) {
		select {
		case <-timer.C:
		case <-d.a.left:
			return
		case <-d.a.ctx.Done():
			return
		}
		d.look()
		// Agents that were started together need not ask together for ever.
		timer.Reset(pause - pause/8 + rand.N(pause/8))
	}
}

// look asks once and joins those who answered and are not there yet.
func (d *discovery) look() {
	found := make(chan *mdns.ServiceEntry, maxFound)
	err := mdns.QueryContext(d.a.ctx, &mdns.QueryParam{
		Service: d.service, Interface: d.iface, Entries: found, Timeout: discoverWait, Logger: d.logger,
		DisableIPv4: d.a.cfg.DiscoverNoIPv4, DisableIPv6: d.a.cfg.DiscoverNoIPv6,
	})
	if d.a.ctx.Err() != nil {
		return
	}
	if err != nil {
		d.a.logger.Error(fmt.Sprintf("agent.mdns: Failed to poll for new hosts: %v", err))
		return
	}
	// An entry is the library's until its query is over: it may still add to it.
	var join []string
	present := d.a.presentAddrs()
	for len(found) > 0 {
		addr, ok := d.address(<-found)
		plain := netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port()) // as members have it
		if !ok || present[plain] {
			continue
		}
		present[plain] = true // once is enough
		join = append(join, addr.String())
	}
	if len(join) > 0 {
		d.join(join)
	}
}

// address is where an entry says that a member of the cluster is. The library
// hands on whatever was announced meanwhile, printers included.
func (d *discovery) address(e *mdns.ServiceEntry) (netip.AddrPort, bool) {
	if !strings.HasSuffix(strings.ToLower(e.Name), strings.ToLower("."+d.service+".local.")) || e.Port < 1 || e.Port > 65535 {
		return netip.AddrPort{}, false
	}
	ip, ok := netip.AddrFromSlice(e.AddrV4)
	if !ok && e.AddrV6IPAddr != nil {
		if ip, ok = netip.AddrFromSlice(e.AddrV6IPAddr.IP); ok {
			ip = ip.WithZone(e.AddrV6IPAddr.Zone)
		}
	}
	if ip = ip.Unmap(); !ok || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, uint16(e.Port)), true
}

func (d *discovery) join(addrs []string) {
	n, err := d.a.join(d.a.ctx, addrs, d.a.cfg.Replay)
	if d.a.ctx.Err() != nil {
		return
	}
	if err != nil {
		d.a.logger.Error("agent.mdns: Failed to join: " + strings.TrimSpace(err.Error()))
	}
	if n > 0 {
		d.a.logger.Info(fmt.Sprintf("agent.mdns: Joined %d hosts", n))
	}
}

// mdnsLog takes the library's lines: what it says of others' packets is as
// frequent as they like.
type mdnsLog struct{ faults *faults }

var _ io.Writer = mdnsLog{}

func (l mdnsLog) Write(b []byte) (int, error) {
	line := strings.TrimSpace(string(b))
	if text, ok := strings.CutPrefix(line, "[ERR] mdns: "); ok {
		l.faults.note("mdns", "library", netip.AddrPort{}, errors.New(text))
	}
	return len(b), nil
}

// presentAddrs are the addresses at which nobody needs to be looked for.
func (a *Agent) presentAddrs() map[netip.AddrPort]bool {
	present := map[netip.AddrPort]bool{a.addr: true, a.transport.Addr(): true}
	for _, m := range a.Members() {
		if m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving {
			present[m.Addr] = true
		}
	}
	return present
}
