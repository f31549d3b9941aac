package groonga

import (
	"testing"

	"github.com/ibuki-dev/ibuki/groonga/groongatest"
)

// testGroonga is a real Groonga HTTP server with an empty database of its own.
type testGroonga struct{ *groongatest.Server }

// startGroonga starts one; it ends with the test.
func startGroonga(t testing.TB) *testGroonga {
	t.Helper()
	return &testGroonga{groongatest.Start(t)}
}

// do asks the server and returns its answer, whatever it says.
func (g *testGroonga) do(c *Command) []byte {
	g.TB.Helper()
	_, answer := g.Ask(c, c.Body)
	return answer
}

// must is do for lines that have to succeed.
func (g *testGroonga) must(lines ...string) {
	g.TB.Helper()
	for _, line := range lines {
		c, err := ParseLine(line)
		if err != nil {
			g.TB.Fatal(err)
		}
		if a, err := readAnswer(g.do(c)); err != nil || a.code != 0 {
			g.TB.Fatalf("%s: %s %v", line, a.header, err)
		}
	}
}
