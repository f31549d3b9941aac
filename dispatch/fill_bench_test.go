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
	"github.com/ibuki-dev/ibuki/writelog/fill"
)

var fillRecords = flag.Int("fill", 10000, "BenchmarkFill: how many records the server has")

// BenchmarkFill has Groonga's own dump of a database loaded into another one, and a server filled from the same
// database, in turn. It reports the medians of both, in seconds, and their ratio.
func BenchmarkFill(b *testing.B) {
	r := newLogRig(b)
	r.pause = time.Hour
	r.texts()
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

// texts gives the first server the records that the benchmarks are about.
func (r *logRig) texts() {
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
}

// BenchmarkBackup has Groonga dump a database and load that into another one, and a backup taken of the same database
// and brought back through a gateway, to three servers, in turn. It reports the medians, in seconds, and the ratios.
func BenchmarkBackup(b *testing.B) {
	r := newLogRig(b)
	r.pause = time.Hour
	r.texts()
	r.startAll()
	defer r.stopAll()
	r.until("complete servers", func() bool { return r.target(0).Position.State == "up" })
	for i := 1; i < 3; i++ {
		if _, err := r.gateway(0).Fill(b.Context(), fmt.Sprint("node", i), true); err != nil {
			b.Fatal(err)
		}
		r.filled(i, 1)
	}
	var took [4][]time.Duration
	names := [4]string{"dump-s", "backup-s", "load-s", "restore-s"}
	for b.Loop() {
		dir := b.TempDir()
		for i, step := range []func() error{
			func() error {
				return exec.Command("sh", "-c", fmt.Sprintf("groonga %s dump >%s/own", r.servers[0].Database(), dir)).Run()
			},
			func() error { r.backUp(0, dir); return nil },
			func() error {
				return exec.Command("sh", "-c", fmt.Sprintf("groonga -n %s/db <%s/own >/dev/null", dir, dir)).Run()
			},
			func() error {
				if err := fill.Empty(b.Context(), front{r.gateway(0)}); err != nil {
					return err
				}
				r.restore(dir)
				return nil
			},
		} {
			begun := time.Now()
			if err := step(); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(begun))
		}
	}
	var median [4]float64
	for i, list := range took {
		slices.Sort(list)
		median[i] = list[len(list)/2].Seconds()
		b.ReportMetric(median[i], names[i])
	}
	b.ReportMetric(median[1]/median[0], "backup-ratio")
	b.ReportMetric(median[3]/median[2], "restore-ratio")
}
