package diagnose

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
)

// Facts are what could be found out about an agent, its host and its cluster. What could
// not is left empty, and is not judged.
type Facts struct {
	Now      time.Time // by the clock of this host
	Agent    rpc.Checkup
	Members  []rpc.Member
	Accounts []rpc.History // what the members say of the agent, and when by their clocks
	Asked    time.Time     // when they were asked and had answered, by the clock of the agent's host
	Answered time.Time
	Cases    []*Case // of failed members
	Here     bool    // the agent is on this host
	Own      []netip.Addr
	Routes   []Route
	Seeds    []Seed
	Silent   []Silence
	Keys     *rpc.KeyResponse // nil: not asked
	KeyFault string           // why not
	Gateway  *Gateway         // nil: there is none
}

// Route is the way to a member.
type Route struct {
	Node string
	MTU  int
}

// Seed is an address that the agent was to join by.
type Seed struct {
	Address string
	At      []netip.AddrPort
	Fault   string // why no connection to it could be made; "" if one could
}

// Silence is a member that is alive and from which something did not come.
type Silence struct {
	Node      string
	NoAck     bool   // it did not acknowledge a query, which reaches it by any way
	NoAccount bool   // it did not answer what was sent to it alone
	Fault     string // why no TCP connection to it could be made; "" if one could
}

// Gateway is what a gateway says.
type Gateway struct {
	Address string
	Fault   string // it does not answer, or does not say
	Says    []string
	Good    bool
}

// Level is how much a finding matters.
type Level string

// The levels of findings.
const (
	OK      Level = "ok"
	Warning Level = "warning" // something will or may go wrong
	Fault   Level = "fault"   // something is wrong
)

// Finding is what one look came to.
type Finding struct {
	Level Level  `json:"level"`
	Area  string `json:"area"`
	Text  string `json:"text"`
	Cure  string `json:"cure,omitempty"`
}

func good(area, format string, args ...any) []Finding {
	return []Finding{{OK, area, fmt.Sprintf(format, args...), ""}}
}

func warning(area, cure, format string, args ...any) Finding {
	return Finding{Warning, area, fmt.Sprintf(format, args...), cure}
}

func fault(area, cure, format string, args ...any) Finding {
	return Finding{Fault, area, fmt.Sprintf(format, args...), cure}
}

// Findings are those of all looks, in the order that they were done in.
type Findings []Finding

// Examine judges the facts.
func Examine(f *Facts) Findings {
	var all Findings
	for _, look := range []func(*Facts) []Finding{
		aboutMembers, aboutSeeds, aboutAddress, aboutUDP, aboutWays, aboutKeys, aboutClusters, aboutNames, aboutViews,
		aboutClocks, aboutMTU, aboutFiles, aboutLoad, aboutLists, aboutHandlers, aboutGateway,
	} {
		all = append(all, look(f)...)
	}
	return all
}

// Worst is the gravest level among them.
func (all Findings) Worst() Level {
	worst := OK
	for _, f := range all {
		switch {
		case f.Level == Fault:
			return Fault
		case f.Level == Warning:
			worst = Warning
		}
	}
	return worst
}

// doctorWidth is how long lines of the text format become.
const doctorWidth = 80

// String is the text format: the faults come last, where they are seen.
func (all Findings) String() string {
	var b strings.Builder
	count := make(map[Level]int)
	for _, level := range []Level{OK, Warning, Fault} {
		for _, f := range all {
			if f.Level != level {
				continue
			}
			count[level]++
			writeWrapped(&b, fmt.Sprintf("%-8s %-9s ", f.Level, f.Area), printable.Line(f.Text))
			if f.Cure != "" {
				writeWrapped(&b, fmt.Sprintf("%-18s ", ""), "Cure: "+printable.Line(f.Cure))
			}
		}
	}
	switch {
	case count[Fault] > 0:
		fmt.Fprintf(&b, "\n%s, %s.\n", number(count[Fault], "fault"), number(count[Warning], "warning"))
	case count[Warning] > 0:
		fmt.Fprintf(&b, "\nNo fault, %s.\n", number(count[Warning], "warning"))
	default:
		b.WriteString("\nNothing is wrong that can be seen from here.\n")
	}
	return b.String()
}

// number is a number of things.
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// writeWrapped writes a text behind a head, further lines below the text.
func writeWrapped(b *strings.Builder, head, text string) {
	at := len(head)
	b.WriteString(head)
	for i, word := range strings.Fields(text) {
		switch n := len([]rune(word)); {
		case i == 0:
			at += n
		case at+1+n > doctorWidth:
			b.WriteString("\n" + strings.Repeat(" ", len(head)))
			at = len(head) + n
		default:
			b.WriteByte(' ')
			at += 1 + n
		}
		b.WriteString(word)
	}
	b.WriteByte('\n')
}
