package dispatch

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// answered is how many commands a server has been asked, without what gateways ask by
// themselves.
func (g *fakeGroonga) answered() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers
}

// What is about the running servers goes to all that live, at once, and is kept for none.
func TestOrdersGoToAllLiveServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 3)
		r.start() // without a log
		defer r.stop()
		r.fake(2).kill()
		r.must("status")
		before := []int{r.fake(0).answered(), r.fake(1).answered()}
		for _, addr := range []string{r.fake(0).addr, r.fake(1).addr} {
			if got := r.must("request_cancel --id " + addr); !strings.Contains(got, `"canceled":true`) {
				t.Errorf("of %s: %s", addr, got)
			}
		}
		if got := r.must("request_cancel --id nosuch"); !strings.Contains(got, `"canceled":false`) {
			t.Errorf("of none: %s", got)
		}
		r.must("lock_release --target_name T")
		for i, n := range before {
			if got := r.fake(i).answered(); got < n+4 {
				t.Errorf("server %d was asked %d times", i, got-n)
			}
		}
		r.fake(0).kill()
		r.fake(1).kill()
		_, err := r.do("lock_clear")
		wantErr(t, err, ErrNoReplica)
	})
}

// A typing error is no write; what a plugin has brought is one.
func TestUnknownCommandsAreWritesIfAServerHasThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 2)
		r.start() // without a log, which a write needs
		defer r.stop()
		r.must("selct --table T")
		_, err := r.do("of_a_plugin")
		wantErr(t, err, ErrNoLog)
	})
}

// Where there are several replicas a record is not addressed by number.
func TestReplicasAreNotWrittenToByNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for replicas, want := range map[int]error{1: ErrNoLog, 2: groonga.ErrByNumber} {
			r := newRig(t, 1, replicas)
			r.start()
			_, err := r.do("delete --table T --id 5")
			wantErr(t, err, want)
			_, err = r.do(`load --table T --values '[{"_id":5,"n":1}]'`)
			wantErr(t, err, want)
			_, err = r.do("delete --table T --key 5")
			wantErr(t, err, ErrNoLog)
			r.stop()
		}
	})
}

// What is not Groonga's own HTTP server is told once, and shown.
func TestAnotherHTTPServerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 2)
		r.fake(0).header = "Server: Groonga/13.0.0\r\n"
		r.fake(1).header = "Server: nginx/1.23.3\r\n"
		var lines strings.Builder
		r.cfg.Log = slog.New(slog.NewTextHandler(&lines, nil))
		r.start()
		time.Sleep(time.Minute) // of virtual time: it is looked at again and again
		for i, v := range r.d.Status().Volumes {
			if want := []string{"", "nginx/1.23.3"}[i]; v.Software != want {
				t.Errorf("%s: %q", v.Address, v.Software)
			}
		}
		r.stop()
		if n := strings.Count(lines.String(), "not Groonga's own HTTP server"); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}
