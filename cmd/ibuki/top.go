package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/ibuki-dev/ibuki/rpc"
)

var topCommand = &command{
	name:     "top",
	synopsis: "Shows the cluster live on the terminal",
	hidden:   true,
	help: `
Usage: {prog} top [options]

  Shows the members that an agent knows, and events and queries as they pass, on
  the terminal, live. Round-trip times are estimated from network coordinates;
  SINCE and FLAPS count from the start of this program. An agent that is lost is
  looked for until it is back.

  Keys: s sorts by the next column, / filters by name, status or tag, up, down,
  page up and page down scroll, q ends.

Options:

` + rpcHelp,
	run: runTop,
}

func runTop(e *env, args []string) int {
	fs := e.flags()
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() > 0 {
		return e.usage("Too many command line arguments.")
	}
	if !isTerminal(e.stdout) {
		return e.fail("top wants a terminal; 'members -watch' prints lines.")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := agent.connect(ctx, e) // the first time, so that a wrong address is said and not looked for
	if c == nil {
		return 1
	}
	c.Close()

	m := newTopModel(*agent.addr)
	program := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(e.stdin), tea.WithOutput(e.stdout), tea.WithoutSignalHandler())
	watch := topWatch{dial: func(ctx context.Context) (*rpc.Client, error) { return agent.dial(ctx) }, tell: func(n any) { program.Send(n) }}
	watching, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { watch.run(watching); close(ended) }()
	_, err := program.Run()
	cancel()
	<-ended
	if err != nil && !(errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil) {
		return e.fail("The screen failed: %s", err)
	}
	return 0
}

// topModel is the screen.
type topModel struct {
	state  topState
	agent  string
	from   int // the first member of the table that is shown
	input  textinput.Model
	typing bool // the filter is being typed
	width  int
	height int
	now    func() time.Time
}

type topTick struct{}

func newTopModel(agent string) *topModel {
	input := textinput.New()
	input.Prompt = "filter: "
	return &topModel{agent: agent, input: input, width: 80, height: 24, now: time.Now}
}

func topNextTick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return topTick{} })
}

// Init is part of tea.Model.
func (m *topModel) Init() tea.Cmd { return topNextTick() }

// Update is part of tea.Model.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.input.SetWidth(max(10, msg.Width-12))
	case topTick: // times go on
		return m, topNextTick()
	case tea.KeyPressMsg:
		return m, m.key(msg)
	default:
		m.state.apply(m.now(), msg)
	}
	return m, nil
}

func (m *topModel) key(k tea.KeyPressMsg) tea.Cmd {
	if m.typing {
		return m.typed(k)
	}
	page := max(1, m.rowsShown()-1)
	switch k.String() {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "s":
		m.state.nextSort()
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
func (m *topModel) typed(k tea.KeyPressMsg) tea.Cmd {
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
func (m *topModel) rowsShown() int {
	return max(1, min(len(m.state.members), (m.height-6)*2/3))
}

// View is part of tea.Model.
func (m *topModel) View() tea.View {
	list := m.state.shown()
	rows := m.rowsShown()
	m.from = max(0, min(m.from, len(list)-rows))
	part := list[m.from:min(len(list), m.from+rows)]

	title := fmt.Sprintf("ibuki top · %s · %s", m.agent, m.state.summary())
	if m.state.lost != nil {
		title = fmt.Sprintf("ibuki top · %s · NOT ANSWERING, looking for it", m.agent)
	}
	lines := append([]string{devTitle.Render(title), ""}, topPaint(m.state.cells(m.now(), part))...)
	if more := len(list) - len(part); more > 0 {
		lines = append(lines, devFaint.Render(fmt.Sprintf("… %d of %d shown", len(part), len(list))))
	}
	lines = append(lines, "")
	room := max(0, m.height-len(lines)-1)
	for _, l := range m.state.events[max(0, len(m.state.events)-room):] {
		lines = append(lines, topPaintLine(l))
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	for i, line := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(m.width).Render(line)
	}
	v := tea.NewView(strings.Join(append(lines, m.footer()), "\n"))
	v.AltScreen = true
	return v
}

func (m *topModel) footer() string {
	if m.typing {
		return m.input.View()
	}
	foot := "q quit · s sort (" + topSorts[m.state.sort] + ") · / filter"
	if m.state.filter != "" {
		foot += " (" + m.state.filter + ")"
	}
	return devFaint.Render(foot + " · arrows scroll")
}

// topPaint aligns the table and colours statuses.
func topPaint(cells [][]string) []string {
	return devAlign(cells, func(row int, cell string) string {
		if row == 0 {
			return devTitle.Render(cell)
		}
		if style, ok := devPaint[strings.TrimRight(cell, " ")]; ok {
			return style.Render(cell)
		}
		return cell
	})
}

func topPaintLine(l topLine) string {
	kind := fmt.Sprintf("%-14s", l.kind)
	switch l.kind {
	case "member-join":
		kind = devPaint["alive"].Render(kind)
	case "member-failed", "lost":
		kind = devPaint["failed"].Render(kind)
	case "member-leave", "member-reap":
		kind = devPaint["left"].Render(kind)
	}
	return devFaint.Render(l.at.Format("15:04:05.000")) + "  " + kind + "  " + l.text
}
