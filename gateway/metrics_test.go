package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/compare"
	"github.com/ibuki-dev/ibuki/dispatch"
)

// TestMetrics: what a gateway knows of its servers and their comparison is there for
// Prometheus, each name with its help and its type, and once.
func TestMetrics(t *testing.T) {
	s := dispatch.Status{Reads: 7, Volumes: []dispatch.VolumeStatus{
		{Address: "n1:10041", State: "active"}, {Address: `n"2:10041`, State: "inactive", Position: &dispatch.Position{State: "suspect"}},
	}}
	if text := metrics(&s); strings.Contains(text, "compare") || strings.Contains(text, "log") {
		t.Errorf("without a log:\n%s", text)
	}
	s.Log = &dispatch.LogStatus{Bytes: 5, Compare: &dispatch.CompareStatus{Last: []dispatch.SliceComparison{
		{Slice: "Default", Ended: time.Unix(100, 0), Result: compare.Result{Progress: compare.Progress{Records: 9}, Differences: make([]compare.Difference, 1)}},
		{Slice: "Other", Ended: time.Unix(200, 0), Fault: "away"},
	}}}
	text := metrics(&s)
	for _, line := range []string{
		"ibuki_gateway_reads_total 7", `ibuki_gateway_server_active{server="n1:10041"} 1`, `ibuki_gateway_server_active{server="n\"2:10041"} 0`,
		`ibuki_gateway_server_suspect{server="n\"2:10041"} 1`, `ibuki_gateway_compare_differs{slice="Default"} 1`, `ibuki_gateway_compare_differs{slice="Other"} 0`,
		`ibuki_gateway_compare_failed{slice="Other"} 1`, `ibuki_gateway_compare_records{slice="Default"} 9`, `ibuki_gateway_compare_ended_timestamp_seconds{slice="Other"} 200`,
		"ibuki_gateway_log_bytes 5",
	} {
		if strings.Count(text, "\n"+line+"\n") != 1 {
			t.Errorf("there is no line %s in\n%s", line, text)
		}
	}
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), " ")
		name, _, _ = strings.Cut(name, "{")
		if strings.Count(text, "# TYPE "+name+" ") != 1 || strings.Count(text, "# HELP "+name+" ") != 1 {
			t.Errorf("%s has not one help and one type", name)
		}
	}
}
