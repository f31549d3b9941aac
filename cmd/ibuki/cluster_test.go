package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/dispatch"
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
