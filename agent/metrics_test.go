package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/agent/snapshot"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

func TestMeter(t *testing.T) {
	m := newMeter()
	m.count("b", 2)
	m.count("b", 3)
	m.count("none", 0)
	m.gauge("g", 1)
	m.gauge("g", 7)
	m.sample("s", 1)
	m.sample("s", 2)
	if name, ok := m.of("serf.events.", "a b:c|d\ne"); ok {
		m.count(name, 1)
	}
	got := m.take()
	text := func(host string) string {
		var b []byte
		for _, x := range got.list(nil, host) {
			b = appendMetric(b, &x)
		}
		return string(b)
	}
	want := "serf-agent.g:7.000000|g\nserf-agent.b:5.000000|c\nserf-agent.serf.events.a_b_c_d_e:1.000000|c\n" +
		"serf-agent.s:1.000000|ms\nserf-agent.s:2.000000|ms\n"
	if text("") != want {
		t.Errorf("got\n%swant\n%s", text(""), want)
	}
	if want := "serf-agent.h.g:7.000000|g\nserf-agent.b:"; !strings.HasPrefix(text("h"), want) {
		t.Errorf("got %s", text("h"))
	}
	if got = m.take(); text("") != "" {
		t.Errorf("told again: %s", text(""))
	}
}

// What is read without stopping the world is what runtime.MemStats has.
func TestRuntimeMetrics(t *testing.T) {
	m := newMeter()
	var r runtimeMetrics
	r.measure(m)
	m.take()
	before := r.seen
	runtime.GC()
	runtime.GC()
	r.measure(m)
	var want runtime.MemStats
	runtime.ReadMemStats(&want)
	got := m.take()
	for name, want := range map[string]uint64{
		"alloc_bytes": want.Alloc, "sys_bytes": want.Sys, "malloc_count": want.Mallocs, "free_count": want.Frees,
		"heap_objects": want.HeapObjects, "total_gc_pause_ns": want.PauseTotalNs, "total_gc_runs": uint64(want.NumGC),
	} {
		if v := got.gauges["runtime."+name]; v < 0.9*float64(want) || v > 1.1*float64(want) {
			t.Errorf("%s is %v, want about %d", name, v, want)
		}
	}
	pauses := int64(0)
	for _, s := range got.samples {
		if s.name == "runtime.gc_pause_ns" && s.value > 0 {
			pauses++
		}
	}
	if ran := r.seen - before; ran < 2 || pauses != ran {
		t.Errorf("%d pauses of %d collections, two at least", pauses, ran)
	}
}

// Who sends events of any number of names makes no number of series.
func TestMeterBounds(t *testing.T) {
	m := newMeter()
	known := 0
	for i := range 10 * maxMetricNames {
		if _, ok := m.of("serf.events.", fmt.Sprint(i)); ok {
			known++
		}
	}
	if _, ok := m.of("serf.events.", "0"); known != maxMetricNames || !ok {
		t.Errorf("%d names, the first one known: %v", known, ok)
	}
	for range 2 * maxSamples {
		m.sample("s", 1)
	}
	if got := m.take(); len(got.samples) != maxSamples || m.dropped != maxSamples {
		t.Errorf("%d samples, %d dropped", len(got.samples), m.dropped)
	}
	if n := testing.AllocsPerRun(100, func() { m.count("known", 1); m.gauge("g", 2); m.sample("s", 3); m.take() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPackMetrics(t *testing.T) {
	var list []metric
	for i := range 200 {
		list = append(list, metric{kindCounter, fmt.Sprintf("serf-agent.metric-number-%d", i), float64(i)})
	}
	packets := packMetrics(list)
	var all []byte
	for _, p := range packets {
		if len(p) > metricsPacket || p[len(p)-1] != '\n' {
			t.Errorf("a packet of %d bytes, %q", len(p), p[len(p)-1])
		}
		all = append(all, p...)
	}
	if lines := strings.Count(string(all), "|c\n"); lines != 200 || len(packets) != (len(all)+metricsPacket-1)/metricsPacket {
		t.Errorf("%d lines in %d packets", lines, len(packets))
	}
}

func TestRecentMetrics(t *testing.T) {
	var r recentMetrics
	at := time.Date(2024, 1, 2, 3, 4, 0, 0, time.UTC)
	r.add(at, []metric{{kindGauge, "g", 1}, {kindCounter, "c", 2}, {kindSample, "s", 1}, {kindSample, "s", 3}})
	r.add(at.Add(time.Second), []metric{{kindGauge, "g", 4}, {kindCounter, "c", 2}})
	if got := r.text(); got != "" {
		t.Errorf("an interval that is not over: %s", got)
	}
	r.add(at.Add(metricsInterval), []metric{{kindGauge, "g", 9}})
	want := `[2024-01-02 03:04:00 +0000 UTC][G] 'g': 4.000
[2024-01-02 03:04:00 +0000 UTC][C] 'c': Count: 2 Sum: 4.000 LastUpdated: 2024-01-02 03:04:01 +0000 UTC
[2024-01-02 03:04:00 +0000 UTC][S] 's': Count: 2 Min: 1.000 Mean: 2.000 Max: 3.000 Stddev: 1.414 Sum: 4.000 LastUpdated: 2024-01-02 03:04:00 +0000 UTC
`
	if got := r.text(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for i := range 100 {
		r.add(at.Add(time.Duration(i)*metricsInterval), nil)
	}
	if len(r.list) != metricsKept+1 {
		t.Errorf("%d intervals are kept", len(r.list))
	}
}

func newTestSink(t *testing.T, network, addr string) *metricSink {
	t.Helper()
	l := logging.New(io.Discard, logging.LevelInfo)
	t.Cleanup(l.Close)
	return &metricSink{network: network, addr: addr, what: network, packets: make(chan []byte, sinkLag), faults: newFaults(l.Logger())}
}

func TestStatsiteGetsWholeLines(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := newTestSink(t, "tcp", server.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.run(ctx); close(ended) }()
	want := ""
	for i := range 10 {
		line := fmt.Sprintf("m%d:1.000000|c\n", i)
		want += line
		s.send([][]byte{[]byte(line)})
	}
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make([]byte, len(want))
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	cancel()
	<-ended
}

// A server that takes nothing holds up nobody; what is lost is counted.
func TestSinkThatIsNotThere(t *testing.T) {
	s := newTestSink(t, "udp", "127.0.0.1:1")
	for range sinkLag + 5 {
		s.send([][]byte{[]byte("x")})
	}
	if n := s.faults.snapshot()["udp queue-full"]; n != 5 {
		t.Errorf("%d are counted as lost", n)
	}
}

// The agent's own statsd lines, over a real socket.
func TestAgentTellsStatsd(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	a, err := New(Config{Config: serf.Config{Swim: swim.Local()}, Name: "n1", Bind: netip.MustParseAddrPort("127.0.0.1:0"),
		RPCAddr: "127.0.0.1:0", StatsdAddr: server.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	if err := a.UserEvent("deploy", nil, false); err != nil {
		t.Fatal(err)
	}
	want := []string{"serf-agent.serf.events:1.000000|c", "serf-agent.serf.events.deploy:1.000000|c",
		"serf-agent.serf.member.join:1.000000|c", ".memberlist.node.instances.alive:1.000000|g", ".runtime.num_goroutines:"}
	buf := make([]byte, 2*metricsPacket)
	for end := time.Now().Add(15 * time.Second); len(want) > 0; {
		_ = server.SetReadDeadline(end)
		n, _, err := server.ReadFrom(buf)
		if err != nil {
			t.Fatalf("not told: %q", want)
		}
		want = slices.DeleteFunc(want, func(w string) bool { return strings.Contains(string(buf[:n]), w) })
	}
}

// What a snapshot's store does is measured: writes to the file in use, and replacements.
func TestSnapshotIsMeasured(t *testing.T) {
	m := newMeter()
	path := filepath.Join(t.TempDir(), "snapshot")
	fsys := &timedFS{FS: snapshot.Disk{}, meter: m}
	names := func() (list []string) {
		for _, s := range m.take().samples {
			list = append(list, s.name)
		}
		return list
	}
	f, err := fsys.Create(path + snapshot.CompactExt)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(f snapshot.File) {
		if _, err := f.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	write(f)
	if err := fsys.Rename(path+snapshot.CompactExt, path); err != nil {
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, []string{"serf.snapshot.compact"}) {
		t.Errorf("a replacement: %q", got)
	}
	write(f)
	again, err := fsys.Append(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	write(again)
	if got := names(); !slices.Equal(got, []string{"serf.snapshot.appendLine", "serf.snapshot.appendLine"}) {
		t.Errorf("two writes: %q", got)
	}
}

func BenchmarkMeterCount(b *testing.B) {
	m := newMeter()
	b.ReportAllocs()
	for b.Loop() {
		m.count("memberlist.udp.received", 100)
	}
}
