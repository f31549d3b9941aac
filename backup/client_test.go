package backup

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ibuki-dev/ibuki/groonga"
)

// A command is sent again until it is done, under one name, unless that one will never be done.
func TestACommandIsSentAgain(t *testing.T) {
	var names []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Ibuki-Dataset") != "other" {
			t.Error("another dataset is meant")
		}
		names = append(names, r.Header.Get("X-Ibuki-Request-Id"))
		if fault := []string{"unconfirmed", "no-majority", "given-up", ""}[len(names)-1]; fault != "" {
			w.Header().Set("X-Ibuki-Fault", fault)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("[[0,0.0,0.0],true]"))
	}))
	defer s.Close()
	c := NewClient(s.Listener.Addr().String(), "other")
	defer c.Close()
	a, err := c.Do(t.Context(), &groonga.Command{Name: "truncate"})
	if err != nil || a.Code != 0 || len(names) != 4 || names[0] != names[1] || names[1] != names[2] || names[2] == names[3] {
		t.Errorf("%v %s, sent as %q", err, a.Body, names)
	}
}
