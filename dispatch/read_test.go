package dispatch

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/live"
)

func TestReadsAreSpreadOverTheReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 3)
		r.start()
		defer r.stop()
		for range 30 {
			r.must("status")
		}
		for _, v := range r.d.Status().Volumes { // what it is asked by itself is not counted there
			if v.Answers != 10 {
				t.Errorf("%s answered %d of 30", v.Address, v.Answers)
			}
		}
	})
}

// A replica that refuses costs no client an answer, and nothing waits for the list.
func TestARefusedReadGoesToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 3)
		r.start()
		defer r.stop()
		r.must("status")
		r.fake(0).kill()
		r.fake(1).kill()
		start := time.Now()
		for range 20 {
			if got := r.must("status"); !strings.Contains(got, "node2") {
				t.Fatalf("answered by %s", got)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v of virtual time", took)
		}
		r.fake(0).restart()
		time.Sleep(2 * probeLimit)
		for range 10 {
			r.must("status")
		}
		if s := r.d.Status(); s.Volumes[0].Server != "up" || s.Volumes[1].Server != "down" {
			t.Errorf("%+v", s.Volumes)
		}
	})
}

func TestALateReadIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 2)
		r.start()
		defer r.stop()
		for range 200 {
			r.must("status")
		}
		time.Sleep(time.Second) // the watchdog measures
		r.fake(0).freeze()
		for range 50 {
			start := time.Now()
			if got := r.must("status"); !strings.Contains(got, "node1") {
				t.Fatalf("answered by %s", got)
			}
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Fatalf("an answer took %v", took)
			}
		}
		time.Sleep(time.Second)
		if s := r.d.Status().Volumes[0]; s.Server != "down" || s.State != "inactive" || s.Outstanding != 0 {
			t.Errorf("the frozen server: %+v", s)
		}
		r.fake(0).thaw()
		time.Sleep(2 * probeLimit)
		if s := r.d.Status().Volumes[0]; s.Server != "up" || s.State != "active" {
			t.Errorf("the server that goes on: %+v", s)
		}
	})
}

// A query that takes long is no sign of a dead server: it is answered.
func TestALongReadIsNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1)
		r.start()
		defer r.stop()
		r.fake(0).set(func() { r.fake(0).slow = 400 * time.Millisecond })
		start := time.Now()
		for range 3 {
			r.must("status")
		}
		if took := time.Since(start); took != 1200*time.Millisecond {
			t.Errorf("three answers took %v", took)
		}
	})
}

func TestM15_M16_M17_TheListDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 3)
		r.start()
		defer r.stop()
		states := func() (list []string) {
			for _, v := range r.d.Status().Volumes {
				list = append(list, v.State)
			}
			return list
		}
		if got := states(); !slices.Equal(got, []string{"active", "active", "active"}) {
			t.Errorf("before there is a list: %v", got) // M15
		}
		r.alive(1)
		synctest.Wait()
		for range 9 {
			if got := r.must("status"); !strings.Contains(got, "node1") {
				t.Fatalf("answered by %s", got) // M16
			}
		}
		if got := states(); !slices.Equal(got, []string{"dead", "active", "dead"}) {
			t.Errorf("one alive: %v", got)
		}
		// M18: the list of oneself only, as an agent that has just started says.
		r.list.Publish(time.Now(), []live.Entry{{Name: "node2", Status: live.Alive}})
		synctest.Wait()
		if got := r.must("status"); !strings.Contains(got, "node2") {
			t.Errorf("answered by %s", got)
		}
		// The list may be wrong: a dead node that answers is better than no answer.
		r.fake(2).kill()
		if got := r.must("status"); strings.Contains(got, "node2") {
			t.Errorf("answered by %s", got)
		}
		r.alive(0, 1, 2) // M17
		synctest.Wait()
		if got := states(); !slices.Equal(got, []string{"active", "active", "inactive"}) {
			t.Errorf("all alive: %v", got)
		}
	})
}

func TestNoReplicaIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 2)
		r.start()
		defer r.stop()
		r.fake(0).kill()
		r.fake(1).kill()
		start := time.Now()
		_, err := r.do("status")
		wantErr(t, err, ErrNoReplica)
		if took := time.Since(start); took < roundEnd || took > roundEnd+time.Second {
			t.Errorf("it was tried for %v", took)
		}
		go func() {
			time.Sleep(time.Second)
			r.fake(1).restart()
		}()
		r.must("status") // a server that is back within that time is soon enough
	})
}

func TestForbiddenAndUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1)
		r.start()
		defer r.stop()
		_, err := r.do("shutdown")
		wantErr(t, err, ErrForbidden)
		_, err = r.d.Do(t.Context(), &groonga.Command{Name: "status", Dataset: "other"})
		wantErr(t, err, ErrUnknownDataset)
		_, err = r.do("load --table T --values []")
		wantErr(t, err, ErrNoLog)
	})
}

func TestOverloadIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1)
		r.cfg.MaxCommands = 4
		r.start()
		defer r.stop()
		r.fake(0).set(func() { r.fake(0).slow = time.Second })
		results := make(chan error, 10)
		for range 10 {
			go func() {
				_, err := r.do("status")
				results <- err
			}()
		}
		refused := 0
		for range 10 {
			if err := <-results; err != nil {
				wantErr(t, err, ErrOverload)
				refused++
			}
		}
		if refused != 6 {
			t.Errorf("%d were refused", refused)
		}
	})
}
