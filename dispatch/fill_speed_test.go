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

var fillRecords = flag.Int("fill", 0, "measure how long it takes to fill a server with so many records")

// TestFillSpeed measures a filling beside Groonga's own dump of the same database into another one, in turn.
func TestFillSpeed(t *testing.T) {
	if *fillRecords == 0 {
		t.Skip("it measures: -fill=1000000")
	}
	r := newLogRig(t)
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
	for round := range 3 {
		begun := time.Now()
		pipe := fmt.Sprintf("groonga %s dump | groonga -n %s >/dev/null", r.servers[0].Database(), filepath.Join(t.TempDir(), "db"))
		if out, err := exec.Command("sh", "-c", pipe).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		own = append(own, time.Since(begun))
		if _, err := r.gateway(0).Fill(t.Context(), "node2", false); err != nil {
			t.Fatal(err)
		}
		for begun = time.Now(); r.target(2).Filled <= round; time.Sleep(50 * time.Millisecond) {
			if f := r.target(2).Fault; f != "" {
				t.Fatal(f)
			}
		}
		ours = append(ours, time.Since(begun))
		t.Logf("%d records (%s): dump and load %.1f s, filling %.1f s, %.2f times", *fillRecords, r.count(2), own[round].Seconds(), ours[round].Seconds(), ours[round].Seconds()/own[round].Seconds())
	}
	slices.Sort(own)
	slices.Sort(ours)
	t.Logf("medians: dump and load %.1f s, filling %.1f s, %.2f times", own[1].Seconds(), ours[1].Seconds(), ours[1].Seconds()/own[1].Seconds())
}
