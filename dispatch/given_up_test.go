package dispatch

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/sock"
)

// TestGivenUpRequestsHarmNobody: attempts that are interrupted before their request is there
// end their connections so that a real Groonga goes on, and gives everybody his own answer.
func TestGivenUpRequestsHarmNobody(t *testing.T) {
	g := newMortal(t)
	v := &volume{addr: g.Addr, maxAnswer: 1 << 20}
	v.pool = pool{addr: g.Addr, timeout: time.Second, open: sock.Dial}
	stop := make(chan struct{})
	var asking, giving sync.WaitGroup
	for i := range 4 {
		asking.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				word := fmt.Sprintf("word%dof%d", n, i)
				c, err := groonga.ParseLine(`normalize --normalizer NormalizerAuto --string ` + word)
				if err != nil {
					t.Error(err)
					return
				}
				answer, _, err := (&attempt{volume: v}).run(c, true)
				if err != nil || !bytes.Contains(answer.Body, []byte(`"`+word+`"`)) {
					t.Errorf("%s: %s, %v", word, answer.Body, err)
					return
				}
			}
		})
		giving.Go(func() {
			for n := range 2500 {
				c, err := v.pool.dial(nil)
				if err != nil {
					t.Error(err)
					return
				}
				if n%4 > 0 {
					_, _ = c.Write([]byte("GET /d/sta"))
				}
				time.Sleep(time.Duration(n%8) * 100 * time.Microsecond) // so that it comes while the server waits for the rest
				c.end()
			}
		})
	}
	giving.Wait()
	close(stop)
	asking.Wait()
}
