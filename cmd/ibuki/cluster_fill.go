package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/gateway"
)

const (
	// fillLook is how often it is asked how far a filling is.
	fillLook = 500 * time.Millisecond
	// fillSilence is how long nobody may answer that.
	fillSilence = 30 * time.Second
	// fillBegins is how long a filling may take to begin.
	fillBegins = 20 * time.Second
)

func runClusterFill(e *env, args []string) int {
	fs := e.flags()
	address := fs.String("gateway", defaultGateway, "")
	asJSON := fs.Bool("json", false, "")
	discard := fs.Bool("discard", false, "")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("Say one node, or HOST:PORT of one server.")
	}
	if _, _, err := net.SplitHostPort(*address); err != nil {
		return e.usage(fmt.Sprintf("-gateway: %s", err))
	}
	f := fillOrder{client: &http.Client{Timeout: clusterPatience + fillLook}, query: url.Values{"node": {fs.Arg(0)}}, address: *address}
	defer f.client.CloseIdleConnections()
	if *discard {
		f.query.Set("discard", "yes")
	}
	if !*asJSON {
		f.progress = func(line string) { e.say("%s", line) }
	}
	list, err := f.run()
	if err != nil {
		return e.fail("Error filling %s: %s", fs.Arg(0), err)
	}
	if *asJSON {
		text, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return e.fail("Encoding error: %s", err)
		}
		e.say("%s", text)
	}
	for _, s := range list {
		if s.Fault != "" {
			return e.fail("%s was not filled: %s", s.Server, s.Fault)
		}
	}
	return 0
}

// fillOrder has servers filled and follows that.
type fillOrder struct {
	client   *http.Client
	address  string
	query    url.Values
	progress func(line string) // nil: nobody wants to hear of it
	said     map[string]string
}

// run returns how the servers stand in the end.
func (f *fillOrder) run() ([]*dispatch.FillTarget, error) {
	before, err := f.ask(http.MethodPost)
	if err != nil {
		return nil, err
	}
	f.said = make(map[string]string)
	begun, heard := time.Now(), time.Now()
	for {
		time.Sleep(fillLook)
		now, err := f.ask(http.MethodGet)
		if err != nil {
			if time.Since(heard) > fillSilence {
				return nil, err
			}
			continue
		}
		heard = time.Now()
		ended := true
		for i, s := range now {
			state := f.judge(before[i], s)
			f.say(s.Server, state)
			ended = ended && state.ended
			if !state.begun && time.Since(begun) > fillBegins {
				return nil, errors.New("it does not begin; see the log of the gateway on its node")
			}
		}
		if ended {
			return now, nil
		}
	}
}

// fillState is how a filling stands, in words.
type fillState struct {
	text         string
	begun, ended bool
}

func (f *fillOrder) judge(before, now *dispatch.FillTarget) fillState {
	p := now.Position
	switch {
	case p.Filling != nil:
		return fillState{fmt.Sprintf("%s, from %s: %d records", p.Filling.Step, p.Filling.From, p.Filling.Rows), true, false}
	case now.Fault != "":
		return fillState{"not filled", true, true}
	case now.Filled == before.Filled:
		return fillState{"waiting", false, false}
	case p.State != "up":
		return fillState{"filled; " + p.Why, true, false}
	}
	return fillState{"filled; the log is applied to it", true, true}
}

// say tells what has changed.
func (f *fillOrder) say(server string, s fillState) {
	if f.progress != nil && f.said[server] != s.text {
		f.said[server] = s.text
		f.progress(server + ": " + s.text)
	}
}

func (f *fillOrder) ask(method string) (list []*dispatch.FillTarget, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+f.address+gateway.FillPath+"?"+f.query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // without the method and the address
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, clusterBytes))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusConflict || resp.StatusCode == http.StatusBadRequest:
		return nil, errors.New(strings.TrimSpace(string(text)))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: is it a gateway with -log of this version?", resp.Status)
	}
	return list, json.Unmarshal(text, &list)
}
