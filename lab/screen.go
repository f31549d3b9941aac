package lab

import (
	"context"
	"errors"
	"fmt"
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
	news    []notice
	past    []string // lines typed before
	back    int      // how far up in them
	busy    int      // commands under way
	width   int
	height  int
}

const keepNotices = 500

type (
	tick  struct{}
	reply struct{ err error }
)

func newModel(ctx context.Context, c *cluster) *model {
	input := textinput.New()
	input.Prompt = "> "
	input.Placeholder = "kill node1 · freeze · thaw · leave · start · event NAME DATA · query NAME · help · quit"
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
		m.addNews(msg)
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

func (m *model) addNews(n notice) {
	if n.view {
		return // the table shows it
	}
	m.news = append(m.news, n)
	if len(m.news) > 2*keepNotices {
		m.news = append([]notice(nil), m.news[keepNotices:]...)
	}
}

func (m *model) replied(err error) tea.Cmd {
	if errors.Is(err, errQuit) {
		return tea.Quit
	}
	if err != nil {
		m.addNews(notice{at: time.Since(m.cluster.began), text: err.Error()})
	}
	return nil
}

// key handles the keys that are not the input line's own.
func (m *model) key(k tea.KeyPressMsg) (tea.Cmd, bool) {
	switch k.String() {
	case "ctrl+c", "ctrl+d":
		return tea.Quit, true
	case "up":
		m.recall(+1)
		return nil, true
	case "down":
		m.recall(-1)
		return nil, true
	case "enter":
		line := strings.TrimSpace(m.input.Value())
		m.input.Reset()
		m.back = 0
		if line == "" {
			return nil, true
		}
		m.past = append(m.past, line)
		m.addNews(notice{at: time.Since(m.cluster.began), text: "> " + line})
		m.busy++
		return func() tea.Msg { return reply{m.cluster.do(m.ctx, line)} }, true
	}
	return nil, false
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
	title := fmt.Sprintf("ibuki dev · %d nodes · %s · logs in %s", len(m.rows),
		time.Since(m.cluster.began).Truncate(time.Second), m.cluster.dir)
	if at := m.cluster.pageURL(); at != "" {
		title += " · " + at
	}
	if m.busy > 0 {
		title += " · working"
	}
	lines := append([]string{terminal.Title.Render(title), ""}, m.table()...)
	if m.cluster.search != nil {
		lines = append(lines, "", m.cluster.search.line())
	}
	lines = append(lines, "")
	room := max(1, m.height-len(lines)-2)
	for _, n := range m.news[max(0, len(m.news)-room):] {
		lines = append(lines, n.String())
	}
	for len(lines) < m.height-2 {
		lines = append(lines, "")
	}
	lines = append(lines, "")
	for i, line := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(m.width).Render(line)
	}
	v := tea.NewView(strings.Join(append(lines, m.input.View()), "\n"))
	v.AltScreen = true
	return v
}

// table is the coloured table, cut to half of the screen.
func (m *model) table() []string {
	lines := terminal.Table(cells(m.rows))
	if most := max(4, m.height/2); len(lines) > most {
		hidden := len(lines) - most + 1
		lines = append(lines[:most-1], fmt.Sprintf("… and %d more", hidden))
	}
	return lines
}
