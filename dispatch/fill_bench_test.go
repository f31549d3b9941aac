package dispatch

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

var fillRecords = flag.Int("fill", 10000, "BenchmarkFill: how many records the server has")

// BenchmarkFill has Groonga's own dump of a database loaded into another one, and a server filled from the same
// database, in turn. It reports the medians of both, in seconds, and their ratio.
func BenchmarkFill(b *testing.B) {
	r := newLogRig(b)
	r.pause = time.Hour
	for _, line := range []string{
		"table_create --name T --flags TABLE_HASH_KEY --key_type ShortText",
		"column_create --table T --name v --flags COLUMN_SCALAR --type Int32",
		"column_create --table T --name t --flags COLUMN_SCALAR --type Text",
		"table_create --name Terms --flags TABLE_PAT_KEY --key_type ShortText --default_tokenizer TokenBigram --normalizer NormalizerAuto",
	} {
		r.ask(0, line)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for from := 0; from < *fillRecords; from += 10000 {
		var rows strings.Builder
		for i := from; i < min(from+10000, *fillRecords); i++ {
			fmt.Fprintf(&rows, ",[\"key%07d\",%d,\"", i, i)
			for range 6 {
				fmt.Fprintf(&rows, "word%d ", random.IntN(5000))
			}
			rows.WriteString("\"]")
		}
		c := &groonga.Command{Name: "load", Args: []groonga.Arg{{Name: "table", Value: "T"}}, Body: []byte("[]")}
		r.servers[0].Ask(c, []byte("[[\"_key\",\"v\",\"t\"]"+rows.String()+"]"))
	}
	r.ask(0, "column_create --table Terms --name idx --flags COLUMN_INDEX|WITH_POSITION --type T --source t")
	r.startAll()
	defer r.stopAll()
	r.until("appliers", func() bool { return r.target(0).Position.State == "up" && r.target(2).Position.State == "up" })
	var own, ours []time.Duration
	for b.Loop() {
		begun := time.Now()
		pipe := fmt.Sprintf("groonga %s dump | groonga -n %s >/dev/null", r.servers[0].Database(), filepath.Join(b.TempDir(), "db"))
		if out, err := exec.Command("sh", "-c", pipe).CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, out)
		}
		own = append(own, time.Since(begun))
		if _, err := r.gateway(0).Fill(b.Context(), "node2", false); err != nil {
			b.Fatal(err)
		}
		for begun = time.Now(); r.target(2).Filled < len(own); time.Sleep(50 * time.Millisecond) {
			if f := r.target(2).Fault; f != "" {
				b.Fatal(f)
			}
		}
		ours = append(ours, time.Since(begun))
	}
	slices.Sort(own)
	slices.Sort(ours)
	dump, fill := own[len(own)/2].Seconds(), ours[len(ours)/2].Seconds()
	b.ReportMetric(dump, "dump-and-load-s")
	b.ReportMetric(fill, "fill-s")
	b.ReportMetric(fill/dump, "ratio")
}
