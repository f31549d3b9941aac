package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/terminal"
)

// Run shows the members that an agent knows, and what happens, until the person
// ends it. addr is only shown; dial connects to the agent, again and again when it
// is lost.
func Run(ctx context.Context, in io.Reader, out io.Writer, addr string, dial func(context.Context) (*rpc.Client, error)) error {
	program := tea.NewProgram(newModel(addr), tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	watch := watcher{dial: dial, tell: func(n any) { program.Send(n) }}
	watching, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { watch.run(watching); close(ended) }()
	_, err := program.Run()
	cancel()
	<-ended
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // a signal ended it
	}
	return err
}

// model is the screen.
type model struct {
	state  state
	agent  string
	from   int // the first member of the table that is shown
	input  textinput.Model
	typing bool // the filter is being typed
	help   bool // the list of keys is in the place of the rest
	width  int
	height int
	now    func() time.Time
}

type tick struct{}

func newModel(agent string) *model {
	input := textinput.New()
	input.Prompt = "filter: "
	return &model{agent: agent, input: input, width: 80, height: 24, now: time.Now}
}

func nextTick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{} })
}

// Init is part of tea.Model.
func (m *model) Init() tea.Cmd { return nextTick() }

// Update is part of tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.input.SetWidth(max(10, msg.Width-12))
	case tick: // times go on
		return m, nextTick()
	case tea.KeyPressMsg:
		return m, m.key(msg)
	default:
		m.state.apply(m.now(), msg)
	}
	return m, nil
}

func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	if m.typing {
		return m.typed(k)
	}
	page := max(1, m.rowsShown()-1)
	switch k.String() {
	case "esc":
		if m.help {
			m.help = false
			return nil
		}
		return tea.Quit
	case "q", "ctrl+c":
		return tea.Quit
	case "s":
		m.state.nextSort()
	case "w", "n", "t", "r", "f":
		m.state.sortBy(strings.Index("wntrf", k.String()))
	case "h", "?":
		m.help = !m.help
	case "/":
		m.typing = true
		return m.input.Focus()
	case "up", "k":
		m.from--
	case "down", "j":
		m.from++
	case "pgup":
		m.from -= page
	case "pgdown", "space":
		m.from += page
	case "home", "g":
		m.from = 0
	case "end", "G":
		m.from = len(m.state.members)
	}
	return nil
}

// typed handles keys while the filter is typed: it counts at once.
func (m *model) typed(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "ctrl+c":
		return tea.Quit
	case "esc":
		m.input.Reset()
		fallthrough
	case "enter":
		m.typing = false
		m.input.Blur()
		m.state.filter = m.input.Value()
		return nil
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(k)
	m.state.filter = m.input.Value()
	return cmd
}

// rowsShown is how many members the table has room for: two thirds of the screen
// at most, the rest is the timeline's.
func (m *model) rowsShown() int {
	return max(1, min(len(m.state.members), (m.height-6)*2/3))
}

// keyHelp is what h shows.
const keyHelp = `w  worst first        n  by name             t  by time of the last change
r  by round-trip time f  by flaps            s  the next of these orders
/  filter by name, status or tag (Enter keeps it, Esc ends it)
up, down, PgUp, PgDn, Home, End  scroll the members
h  this list          q  quit

SINCE is when the status became what it is; the agent knows it.
FLAPS is how often the member failed since this screen began.
RTT is estimated from network coordinates; - where there is none yet.`

// View is part of tea.Model.
func (m *model) View() tea.View {
	lines := m.head()
	if m.help {
		for line := range strings.SplitSeq(keyHelp, "\n") {
			lines = append(lines, terminal.Fit(line, m.width))
		}
	} else {
		lines = append(lines, m.table()...)
		room := max(0, m.height-len(lines)-1)
		for _, l := range m.state.events[max(0, len(m.state.events)-room):] {
			lines = append(lines, paintLine(l, m.width))
		}
	}
	lines = lines[:min(len(lines), max(0, m.height-1))]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	v := tea.NewView(strings.Join(append(lines, m.footer()), "\n"))
	v.AltScreen = true
	return v
}

// head is whether the cluster is well, as this agent knows it.
func (m *model) head() []string {
	items := append([]string{"ibuki top"}, append(m.state.summary(), "agent "+m.agent)...)
	if m.state.lost != nil {
		items = []string{"ibuki top", "agent " + m.agent + " is NOT ANSWERING", "what follows is its last word"}
	}
	var lines []string
	for _, line := range terminal.Flow(m.width, items...) {
		lines = append(lines, terminal.Title.Render(terminal.Fit(line, m.width)))
	}
	return append(lines, "")
}

// table is the part of the members that is scrolled to.
func (m *model) table() []string {
	list := m.state.shown()
	rows := m.rowsShown()
	m.from = max(0, min(m.from, len(list)-rows))
	part := list[m.from:min(len(list), m.from+rows)]
	var lines []string
	for _, line := range terminal.Table(m.state.cells(m.now(), part, m.width)) {
		lines = append(lines, lipgloss.NewStyle().MaxWidth(m.width).Render(line))
	}
	if len(part) < len(list) {
		lines = append(lines, terminal.Faint.Render(fmt.Sprintf("%d to %d of %d", m.from+1, m.from+len(part), len(list))))
	}
	return append(lines, "")
}

func (m *model) footer() string {
	if m.typing {
		return m.input.View()
	}
	filter := "/: filter"
	if m.state.filter != "" {
		filter += " (" + m.state.filter + ")"
	}
	return terminal.Faint.Render(terminal.Fit("h: help · q: quit · s: order ("+sorts[m.state.sort]+") · "+filter, m.width))
}

func paintLine(l eventLine, width int) string {
	kind := fmt.Sprintf("%-14s", l.kind)
	switch l.kind {
	case "member-join":
		kind = terminal.State("alive").Render(kind)
	case "member-failed", "lost":
		kind = terminal.State("failed").Render(kind)
	case "member-leave", "member-reap":
		kind = terminal.State("left").Render(kind)
	}
	text, room := l.text, max(1, width-30)
	if l.names != nil {
		text = terminal.Names(l.names, room)
	}
	return terminal.Faint.Render(l.at.Format("15:04:05.000")) + "  " + kind + "  " + terminal.Fit(text, room)
}
