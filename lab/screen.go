package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/ibuki-dev/ibuki/terminal"
)

// runScreen is dev on a terminal: the table, the events, an input line.
func runScreen(ctx context.Context, s Streams, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var program *tea.Program
	ready := make(chan struct{})
	c, err := startCluster(o, func(n notice) {
		<-ready
		program.Send(n)
	})
	if err != nil {
		return err
	}
	defer c.close()
	program = tea.NewProgram(newModel(ctx, c), tea.WithContext(ctx), tea.WithInput(s.In), tea.WithOutput(s.Out),
		tea.WithoutSignalHandler())
	close(ready)
	if err := c.startAll(); err != nil {
		return err
	}
	_, err = program.Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // a signal ended it
	}
	return err
}

// model is the screen's state. The cluster's own is read at each tick.
type model struct {
	ctx     context.Context
	cluster *cluster
	input   textinput.Model
	rows    []row
	journal journal
	past    []string // lines typed before
	back    int      // how far up in them
	busy    int      // commands under way
	help    bool     // the list of commands is in the place of the rest
	onTable bool     // the page keys scroll the table, not the events
	first   int      // the table's first row that is shown
	older   int      // how many lines the events are scrolled back
	width   int
	height  int
}

type (
	tick  struct{}
	reply struct{ err error }
)

func newModel(ctx context.Context, c *cluster) *model {
	input := textinput.New()
	input.Prompt = "> "
	input.Placeholder = "kill node1 · freeze · thaw · leave · start · event · query · help · quit"
	input.Focus()
	return &model{ctx: ctx, cluster: c, input: input, rows: c.rows(), width: 80, height: 24}
}

func nextTick() tea.Cmd {
	return tea.Tick(100*time.Millisecond, func(time.Time) tea.Msg { return tick{} })
}

// Init is part of tea.Model.
func (m *model) Init() tea.Cmd { return tea.Batch(textinput.Blink, nextTick()) }

// Update is part of tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.input.SetWidth(max(10, msg.Width-4))
		return m, nil
	case tick:
		m.rows = m.cluster.rows()
		return m, nextTick()
	case notice:
		before := len(m.journal.entries)
		m.journal.add(msg)
		if m.older > 0 { // what is being read stays where it is
			m.older += max(0, len(m.journal.entries)-before)
		}
		return m, nil
	case reply:
		m.busy--
		return m, m.replied(msg.err)
	case tea.KeyPressMsg:
		if cmd, done := m.key(msg); done {
			return m, cmd
		}
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	return m, cmd
}

func (m *model) replied(err error) tea.Cmd {
	if errors.Is(err, errQuit) {
		return tea.Quit
	}
	if err != nil {
		m.note(err.Error())
	}
	return nil
}

// note adds a line of the screen's own.
func (m *model) note(text string) {
	m.journal.add(notice{at: time.Since(m.cluster.began), text: text})
}

// key handles the keys that are not the input line's own.
func (m *model) key(k tea.KeyPressMsg) (tea.Cmd, bool) {
	page := m.height / 3
	switch k.String() {
	case "ctrl+c", "ctrl+d":
		return tea.Quit, true
	case "up":
		m.recall(+1)
	case "down":
		m.recall(-1)
	case "tab":
		m.onTable = !m.onTable
	case "esc":
		m.help, m.older, m.first = false, 0, 0
	case "pgup", "pgdown":
		m.scroll(map[string]int{"pgup": -page, "pgdown": page}[k.String()])
	case "enter":
		line := strings.TrimSpace(m.input.Value())
		m.input.Reset()
		m.back, m.older = 0, 0
		m.help = line == "help"
		if line == "" || m.help {
			return nil, true
		}
		m.past = append(m.past, line)
		m.note("> " + line)
		m.busy++
		return func() tea.Msg { return reply{m.cluster.do(m.ctx, line)} }, true
	default:
		return nil, false
	}
	return nil, true
}

// scroll moves what the page keys move; View keeps it within what there is.
func (m *model) scroll(lines int) {
	if m.onTable {
		m.first = max(0, m.first+lines)
	} else {
		m.older = max(0, m.older-lines)
	}
}

func (m *model) recall(step int) {
	m.back = min(max(m.back+step, 0), len(m.past))
	m.input.Reset()
	if m.back > 0 {
		m.input.SetValue(m.past[len(m.past)-m.back])
		m.input.CursorEnd()
	}
}

// View is part of tea.Model.
func (m *model) View() tea.View {
	lines := m.head()
	foot := "esc: back"
	if m.help { // all of it, on the smallest usual screen
		lines = lines[:1]
		for _, line := range m.cluster.helpLines() {
			lines = append(lines, terminal.Fit(line, m.width))
		}
	} else {
		lines = append(lines, m.table()...)
		if m.cluster.search != nil {
			lines = append(lines, m.cluster.search.lines(m.width)...)
		}
		lines = append(lines, "")
		var events []string
		events, foot = m.events(m.height - len(lines) - 2)
		lines = append(lines, events...)
	}
	lines = lines[:min(len(lines), max(0, m.height-2))]
	for len(lines) < m.height-2 {
		lines = append(lines, "")
	}
	lines = append(lines, terminal.Faint.Render(terminal.Fit(foot, m.width)))
	v := tea.NewView(strings.Join(append(lines, m.input.View()), "\n"))
	v.AltScreen = true
	return v
}

// head is whether the cluster is well, and where to look further.
func (m *model) head() []string {
	busy := ""
	if m.busy > 0 {
		busy = "working"
	}
	lines := terminal.Flow(m.width, "ibuki dev", totals(m.rows), "up "+terminal.Age(time.Since(m.cluster.began)), busy)
	for i, line := range lines {
		lines[i] = terminal.Title.Render(line)
	}
	page := ""
	if at := m.cluster.pageURL(); at != "" {
		page = "dashboard " + at
	}
	for _, line := range terminal.Flow(m.width, page, "logs in "+m.cluster.dir) {
		lines = append(lines, terminal.Fit(line, m.width))
	}
	return append(lines, "")
}

// table is the coloured table, cut to half of the screen. Many nodes are shown worst
// first.
func (m *model) table() []string {
	rows := m.rows
	if len(rows) > matrixNodes {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.trouble(), b.trouble()) })
	}
	lines := terminal.Table(cells(rows, m.width))
	room := max(2, m.height/2-1)
	m.first = max(0, min(m.first, len(rows)-room))
	if len(rows) > room {
		shown := append(lines[:1:1], lines[1+m.first:1+m.first+room]...)
		lines = append(shown, terminal.Faint.Render(fmt.Sprintf("%d to %d of %d, worst first", m.first+1, m.first+room, len(rows))))
	}
	for i, line := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(m.width).Render(line)
	}
	return lines
}

// events are the lines of the journal that there is room for, and the line of keys.
func (m *model) events(room int) (lines []string, keys string) {
	room = max(1, room)
	all := m.journal.entries
	m.older = max(0, min(m.older, len(all)-room))
	end := len(all) - m.older
	for _, e := range all[max(0, end-room):end] {
		lines = append(lines, e.line(m.width))
	}
	what, other := "events", "the table"
	if m.onTable {
		what, other = other, what
	}
	keys = fmt.Sprintf("PgUp PgDn: scroll %s · Tab: %s", what, other)
	if m.older > 0 {
		keys += fmt.Sprintf(" · %d newer lines, Esc: to the end", m.older)
	}
	return lines, keys
}
