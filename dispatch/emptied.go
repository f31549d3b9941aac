package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// watchStarts is how often each server is asked when it was started.
const watchStarts = time.Second

// errEmptied is the fault of a server whose database is not the one that it had.
var errEmptied = errors.New("its database has none of the tables that the other replicas have: " +
	"stop it, give it the data of a complete one, start it")

// starts looks at each server that was started anew, also if nobody noticed that it
// was away.
func (d *Dispatcher) starts() {
	tick := time.NewTicker(watchStarts)
	defer tick.Stop()
	for {
		for _, v := range d.now().volumes {
			if v.state() != up || !v.listed.Load() {
				continue
			}
			d.start(func() { // one that hangs holds up no other
				select {
				case v.inspecting <- struct{}{}:
					_ = d.inspect(v)
					<-v.inspecting
				default:
				}
			})
		}
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// inspect looks at the tables of a server that was started since it was last looked at. An
// error means that it is not to be used now. v.inspecting is held.
func (d *Dispatcher) inspect(v *volume) error {
	answer, err := d.question(v, statusCommand)
	if err != nil {
		if !errors.Is(err, ErrTimeout) {
			v.started.Store(0) // nobody is there: the next to answer is another one
		}
		return err
	}
	d.noteSoftware(v, answer.Software)
	began := startOf(answer.Body)
	if d.logged != nil { // the database says itself how far it has come
		if v.started.Swap(began) != began {
			d.logged.restarted(v)
		}
		return d.logged.fit(v)
	}
	if began == v.started.Load() {
		return v.emptiedErr()
	}
	emptied, err := d.lacksAll(v)
	if emptied && err == nil {
		// A table may be under way to it.
		select {
		case <-d.ctx.Done():
			return ErrStopped
		case <-time.After(emptiedTwice):
		}
		emptied, err = d.lacksAll(v)
	}
	if err != nil {
		return v.emptiedErr() // it is looked at again
	}
	v.started.Store(began)
	if v.emptied.Swap(emptied) != emptied {
		if emptied {
			d.log.Error("server is not used", "volume", v.addr, "error", errEmptied)
		} else {
			d.log.Info("server has tables again", "volume", v.addr)
		}
	}
	if emptied {
		v.mu.Lock()
		v.fault = errEmptied.Error()
		v.mu.Unlock()
		if v.setState(down, time.Now(), "") {
			v.probeNow()
		}
	}
	return v.emptiedErr()
}

func (v *volume) emptiedErr() error {
	if v.emptied.Load() {
		return errEmptied
	}
	return nil
}

// errNobody: it cannot be told yet.
var errNobody = errors.New("no other replica can be asked")

// emptiedTwice is how long after a server was found to have no tables it is looked at once more.
const emptiedTwice = time.Second

// lacksAll reports whether another replica has tables, and this one none of them.
func (d *Dispatcher) lacksAll(v *volume) (bool, error) {
	replicas := d.replicasOf(v)
	asked := len(replicas) == 0
	var all []map[string]bool
	for _, u := range replicas {
		if u.rank() != good {
			continue
		}
		others, err := d.tables(u)
		if err != nil {
			continue
		}
		asked = true
		if len(others) > 0 {
			all = append(all, others)
		}
	}
	switch {
	case !asked:
		return false, errNobody
	case len(all) == 0:
		return false, nil
	}
	own, err := d.tables(v)
	if err != nil {
		return false, err
	}
	for _, others := range all {
		lacks := true
		for name := range others { // order-free: any will do
			lacks = lacks && !own[name]
		}
		if lacks {
			return true, nil
		}
	}
	return false, nil
}

// replicasOf are the others that hold what a server holds.
func (d *Dispatcher) replicasOf(v *volume) (list []*volume) {
	for _, ds := range d.now().datasets {
		for _, l := range ds.layouts {
			for _, p := range l.parts {
				if !slices.Contains(p.volumes, v) {
					continue
				}
				for _, u := range p.volumes {
					if u != v && !slices.Contains(list, u) {
						list = append(list, u)
					}
				}
			}
		}
	}
	return list
}

// objectListCommand lists what a database has without opening any of it. table_list and
// schema do not do: of Groonga 13.0.0, two that come at the same time wait for each other
// at every name that stands for nothing, of which each database has some two hundred, three
// seconds each, and its other requests with them.
var objectListCommand = &groonga.Command{Name: "object_list"}

// tables are the names of a server's tables.
func (d *Dispatcher) tables(v *volume) (map[string]bool, error) {
	answer, err := d.question(v, objectListCommand)
	if err != nil {
		return nil, err
	}
	return tablesOf(answer.Body)
}

// tablesOf reads the names of the tables in an answer to objectListCommand.
func tablesOf(doc []byte) (map[string]bool, error) {
	body, err := groonga.Result(doc)
	if err != nil {
		return nil, err
	}
	var objects map[string]struct{ Type struct{ Name string } }
	if err := json.Unmarshal(body, &objects); err != nil {
		return nil, fmt.Errorf("a list of objects of no known form: %w", err)
	}
	names := make(map[string]bool)
	for name, o := range objects { // order-free: into another map
		if strings.HasPrefix(o.Type.Name, "table:") {
			names[name] = true
		}
	}
	return names, nil
}

// question asks one server, on a connection of its own, for no longer than a probe.
func (d *Dispatcher) question(v *volume, c *groonga.Command) (groonga.Answer, error) {
	a := &attempt{volume: v, start: time.Now()}
	stop := time.AfterFunc(probeFor, a.interrupt)
	defer stop.Stop()
	answer, _, err := a.run(c, true)
	if errors.Is(err, errInterrupted) {
		return answer, ErrTimeout
	}
	return answer, err
}

// noteSoftware says, once, that an HTTP server is not Groonga's own: groonga-httpd, which is
// nginx inside, or a proxy.
func (d *Dispatcher) noteSoftware(v *volume, name string) {
	if strings.HasPrefix(name, "Groonga/") {
		name = ""
	}
	v.mu.Lock()
	changed := v.software != name
	v.software = name
	v.mu.Unlock()
	if changed && name != "" {
		d.log.Warn("not Groonga's own HTTP server: groonga-httpd, or a proxy, cancels no requests, does one thing at a time and may answer from tables that are gone; start groonga --protocol http -s",
			"volume", v.addr, "server", name)
	}
}

// startOf is when a server was started, by its status; 0 if that does not say it.
func startOf(status []byte) int64 {
	_, rest, ok := bytes.Cut(status, []byte(`"starttime":`))
	if !ok {
		return 0
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(string(rest[:end]), 10, 64)
	return n
}
