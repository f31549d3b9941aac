package delivery

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// haproxy starts HAProxy in front of the same servers, with the usual checks: it asks
// each for /d/status every 2 s, gives up one that failed 3 times, and tries a
// connection that failed at another one.
func (w *world) haproxy() *process {
	addr := fmt.Sprintf("%s2:8000", w.net)
	var b strings.Builder
	fmt.Fprintf(&b, `global
  maxconn 4000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 3s
  option redispatch
  retries 3
listen groonga
  bind %s
  balance leastconn
  option httpchk GET /d/status
`, addr)
	for i, v := range w.volumes {
		fmt.Fprintf(&b, "  server s%d %s check\n", i, v)
	}
	if err := os.WriteFile(w.file("haproxy.cfg"), []byte(b.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p := w.process("haproxy", program("haproxy"), "-db", "-f", w.file("haproxy.cfg"))
	p.start()
	w.t.Cleanup(p.kill)
	w.proxy = addr
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/d/status")
		if err == nil {
			resp.Body.Close()
			return p
		}
		if time.Now().After(deadline) {
			w.t.Fatal(err)
		}
	}
}
