package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/compare"
	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/gateway"
)

// saidBy is what a gateway of three says: its own server is the one with its number.
func saidBy(self int, change func(*dispatch.Status)) gatewaySaid {
	names := []string{"n1:10040", "n2:10040", "n3:10040"}
	s := dispatch.Status{Self: names[self], Log: &dispatch.LogStatus{Formed: true, Leader: names[0], Members: names, Leased: true, Last: 5000}}
	for i, name := range names {
		v := dispatch.VolumeStatus{Address: strings.Replace(name, "10040", "10041", 1), Slices: []string{"Default"}, State: "active"}
		if i == self {
			v.Position = &dispatch.Position{State: "up", Applied: 5000}
		} else {
			s.Peers = append(s.Peers, dispatch.PeerStatus{Address: name})
		}
		s.Volumes = append(s.Volumes, v)
	}
	if change != nil {
		change(&s)
	}
	return gatewaySaid{address: names[self], status: &gatewayStatus{Cluster: s}}
}

// TestClusterReport: what follows from what gateways say is said in words.
func TestClusterReport(t *testing.T) {
	away := gatewaySaid{address: "n3:10040", err: errors.New("connection refused")}
	two := func(s *dispatch.Status) { s.Log.Members = s.Log.Members[:2] }
	for name, test := range map[string]struct {
		said []gatewaySaid
		good bool
		want []string
	}{
		"all is well": {[]gatewaySaid{saidBy(0, nil), saidBy(1, nil), saidBy(2, nil)}, true,
			[]string{"Writes are done, and go on if 1 gateway more ends: 3 of 3 answer, and a majority is 2."}},
		"one away": {[]gatewaySaid{saidBy(0, nil), saidBy(1, nil), away}, false,
			[]string{"Writes are done. If one more gateway ends, they are refused: 2 of 3 answer, and a majority is 2.",
				"n3:10041: the gateway that applies the log to it does not answer."}},
		"no majority": {[]gatewaySaid{saidBy(0, func(s *dispatch.Status) { s.Log.Leader, s.Log.Fault = "", "no majority answers" }), away}, false,
			[]string{"Writes are refused: no majority answers."}},
		"another one leads": {[]gatewaySaid{saidBy(0, func(s *dispatch.Status) { s.Log.Leader, s.Log.Fault = "", "no majority answers" }),
			saidBy(1, func(s *dispatch.Status) { s.Log.Leader = "n2:10040" }), saidBy(2, nil)}, true,
			[]string{"Writes are done, and go on if 1 gateway more ends: 3 of 3 answer, and a majority is 2."}},
		"two": {[]gatewaySaid{saidBy(0, two), saidBy(1, two)}, false,
			[]string{"With two gateways, writes stop when either ends"}},
		"not in the log": {[]gatewaySaid{saidBy(0, two), saidBy(1, two), saidBy(2, two)}, true,
			[]string{"n3:10040 is not in the log, and counts for no majority."}},
		"suspect and late": {[]gatewaySaid{
			saidBy(0, func(s *dispatch.Status) { s.Volumes[1].State, s.Volumes[1].Behind = "inactive", true }),
			saidBy(1, func(s *dispatch.Status) { s.Volumes[1].Position.Applied = 4998 }),
			saidBy(2, func(s *dispatch.Status) {
				*s.Volumes[2].Position = dispatch.Position{State: "suspect", Why: "it was exchanged."}
			})}, false,
			[]string{"n3:10041 has to be filled from another server: it was exchanged.",
				"n2:10041 is not read from until it has caught up: it is 2 entries behind."}},
		"compared": {[]gatewaySaid{saidBy(0, func(s *dispatch.Status) {
			s.Log.Compare = &dispatch.CompareStatus{Rate: 1, Last: []dispatch.SliceComparison{{Slice: "Default", Ended: time.Now().Add(-time.Minute), Result: compare.Result{Progress: compare.Progress{Records: 7}}}},
				Under: []dispatch.SliceComparison{{Slice: "Default"}}}
		}), saidBy(1, nil), saidBy(2, nil)}, true,
			[]string{"Default: the servers held the same 1m0s ago: 7 records compared.", "Default: the servers are being compared: 0 records, at the tables."}},
		"two differ": {[]gatewaySaid{saidBy(0, nil), saidBy(1, func(s *dispatch.Status) {
			s.Log.Compare = &dispatch.CompareStatus{Last: []dispatch.SliceComparison{{Slice: "Default", Says: "2 servers hold different data: table A, key 5 (differences: 1)"}}}
		}), saidBy(2, nil)}, false,
			[]string{"Default: 2 servers hold different data: table A, key 5 (differences: 1). Nobody can tell which is right"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newClusterReport(test.said)
			if r.Good != test.good {
				t.Errorf("good is %v, want %v", r.Good, test.good)
			}
			text := r.String()
			for _, want := range test.want {
				if !slices.ContainsFunc(r.Says, func(s string) bool { return strings.HasPrefix(s, want) }) || !strings.Contains(text, want) {
					t.Errorf("it does not say %q:\n%s", want, text)
				}
			}
		})
	}
}

// TestAskGateways: what is no gateway, or one without a log, is said.
func TestAskGateways(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	answers := func(text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	for address, want := range map[string]string{
		closed.Addr().String():     "connection refused",
		"nowhere":                  "-gateway: address nowhere: missing port in address",
		answers("hello"):           "is no gateway",
		answers(`{"cluster": {}}`): "keeps no log of writes: it was started without -log",
	} {
		if _, err := askGateways(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

// TestClusterCompare: what a gateway finds is printed, with what each server has, and the exit
// code says whether all are equal; what it cannot do is said in one line.
func TestClusterCompare(t *testing.T) {
	var list []dispatch.SliceComparison
	var fault error
	var asked dispatch.CompareRequest
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := gateway.NewServer(gateway.Config{Status: func() any { return nil },
		Compare: func(_ context.Context, q dispatch.CompareRequest, _ func(compare.Progress)) ([]dispatch.SliceComparison, error) {
			asked = q
			return list, fault
		}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		if err := errors.Join(s.Stop(t.Context()), <-served); err != nil {
			t.Error(err)
		}
	}()
	run := func(code int, want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		e := &env{name: "ibuki", all: commands, cmd: clusterCommand, stdout: &out, stderr: new(bytes.Buffer)}
		if got := runCluster(e, append([]string{"compare", "-gateway=" + l.Addr().String()}, args...)); got != code || !strings.Contains(out.String(), want) {
			t.Errorf("exit code %d, want %d:\n%s\nwant\n%s", got, code, out.String(), want)
		}
	}
	equal := dispatch.SliceComparison{Slice: "Default", Servers: []string{"a:1", "b:1"}}
	equal.Tables, equal.Records = 2, 1
	list = []dispatch.SliceComparison{equal}
	run(0, "Default: 2 servers, 2 tables, 1 record, 0 terms: equal\n", "-full", "-rate=9", "A", "B")
	if !asked.Full || asked.Rate != 9 || !slices.Equal(asked.Tables, []string{"A", "B"}) {
		t.Errorf("asked for %+v", asked)
	}
	differs := equal
	differs.Differences = []compare.Difference{{Kind: compare.Record, Table: "A", Key: "5", Values: []string{"[5]", ""}}}
	list = []dispatch.SliceComparison{equal, differs}
	run(1, "1 difference\n  table A, key 5\n    a:1: [5]\n    b:1: not there\n  Nobody can tell which is right")
	run(1, `"differences": [`, "-json")
	undecided := equal
	undecided.Undecided = []string{"A: too much"}
	list = []dispatch.SliceComparison{undecided}
	run(1, "not decided: A: too much")
	list, fault = nil, dispatch.ErrComparing
	run(1, "Error comparing: the gateway is comparing already")
}

// TestServerFaults: what is wrong with the Groonga servers of a node is said with it, and of no
// other node; where no gateway answers nothing is.
func TestServerFaults(t *testing.T) {
	said := saidBy(0, func(s *dispatch.Status) {
		s.Peers, s.Log.Members = nil, s.Log.Members[:1]
		s.Volumes[0].Position = &dispatch.Position{State: "suspect", Why: "the database has to be filled: it differs: table A, key 5"}
		s.Volumes = s.Volumes[:1]
		s.Log.Compare = &dispatch.CompareStatus{Last: []dispatch.SliceComparison{{Slice: "Other", Servers: []string{"n9:10041"}, Says: "2 servers hold different data: table B"}}}
	})
	text, err := json.Marshal(said.status)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	defer s.Close()
	for host, want := range map[string]string{
		"n1": "n1:10041 has to be filled from another server: it differs: table A, key 5.", "n9": "Other: 2 servers hold different data: table B.", "n2": "",
	} {
		if got := strings.Join(serverFaults(s.Listener.Addr().String(), []string{"other", host}), "\n"); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	if got := serverFaults("127.0.0.1:1", []string{"n1"}); got != nil {
		t.Errorf("no gateway: %q", got)
	}
}
