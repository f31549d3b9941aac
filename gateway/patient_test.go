package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// Clients that stay lock nobody out: those that say nothing, those that begin to say
// something, those that keep their connection, and streams of gateways that there are not.
func TestPatientClients(t *testing.T) {
	addr, s := serve(t, Config{Doer: &scripted{}, MaxConns: 16,
		WriteLog: func(context.Context, []byte) ([]byte, error) { return nil, nil }})
	const get = "GET /status HTTP/1.1\r\nHost: x\r\n\r\n"
	starts := []string{"", "GET /sta", get, "GET " + streamPath + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + streamProtocol + "\r\n\r\n",
		"POST /d/load?table=T HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n[{"}
	for i := range 100 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, starts[i%len(starts)])
		if i%len(starts) == 2 {
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 200 {
				t.Errorf("behind %d others: %v %v", i, resp, err)
			}
		}
	}
	if n := s.seats.Len(); n > 16 {
		t.Errorf("%d clients", n)
	}
}
