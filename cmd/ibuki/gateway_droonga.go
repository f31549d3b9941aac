package main

import (
	"context"
	"encoding/json"
	"net"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/droonga"
)

// gatewayDroonga is the front for Droonga's clients.
type gatewayDroonga struct {
	server   *droonga.Server
	listener net.Listener
	beats    net.PacketConn
}

// openDroonga takes the address, TCP for messages and UDP for heartbeats.
func (g *gatewayProcess) openDroonga(c *catalog.Catalog, text []byte) (err error) {
	d := &g.droonga
	if d.listener, err = net.Listen("tcp", g.flags.droonga); err != nil {
		return err
	}
	if d.beats, err = net.ListenPacket("udp", d.listener.Addr().String()); err != nil {
		d.listener.Close()
		return err
	}
	cfg := droonga.Config{
		Doer: g.d, Catalog: json.RawMessage(text), Log: g.log,
		Reporter: "gateway @ " + d.listener.Addr().String(),
		Nodes:    func() map[string]string { return g.nodeStates(c) },
	}
	for _, d := range c.Datasets {
		cfg.Datasets = append(cfg.Datasets, d.Name)
	}
	d.server = droonga.NewServer(cfg)
	return nil
}

// nodeStates are the states of the catalog's nodes, by their full names.
func (g *gatewayProcess) nodeStates(c *catalog.Catalog) map[string]string {
	byAddress := make(map[string]string)
	for _, v := range g.d.Status().Volumes {
		byAddress[v.Address] = v.State
	}
	states := make(map[string]string)
	for _, a := range c.Addresses() {
		states[a.Node()] = byAddress[a.HostPort()]
	}
	return states
}

// serve answers Droonga's clients, if there is an address for them.
func (d *gatewayDroonga) serve(e *env, ended chan<- error) {
	if d.server == nil {
		return
	}
	go func() { ended <- d.server.Serve(d.listener) }()
	go func() { _ = d.server.ServeHeartbeat(d.beats) }() // clients live without
	e.say("Droonga's messages are taken at %s", d.listener.Addr())
}

func (d *gatewayDroonga) stop(ctx context.Context) {
	if d.server != nil {
		_ = d.server.Stop(ctx) // it is stopped in any case
	}
}
