package agent

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// handlerOutput is how much of a handler's output is kept, in bytes: the last.
	handlerOutput = 8 * 1024
	// pipeGrace is how long output is waited for after the command itself has
	// ended: what it left in the background may hold it open for ever.
	pipeGrace = time.Second
	// killGrace is between asking a process group to end and killing it.
	killGrace = 500 * time.Millisecond
)

// output is what a handler has printed.
type output struct {
	text  []byte // the last of it, at most handlerOutput
	total int64
}

// tail is a writer that never blocks and keeps the last handlerOutput bytes.
type tail struct {
	buf   []byte
	total int64
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	t.total += int64(n)
	if len(p) > handlerOutput {
		p = p[len(p)-handlerOutput:]
	}
	if over := len(t.buf) + len(p) - handlerOutput; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// runHandler runs a command for one event in a process group of its own. When
// kill is closed, the group is ended.
func runHandler(command string, j *job, kill <-chan struct{}) (output, error) {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), handlerEnv(&j.event, &j.self)...)
	cmd.Stdin = bytes.NewReader(handlerInput(&j.event))
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = pipeGrace
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return output{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-kill:
		err = endAll(cmd.Process.Pid, ended)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command itself went well; what it left behind keeps the pipe
	}
	return output{text: out.buf, total: out.total}, err
}

// endAll ends a handler's process group, whose leader's end comes by ended.
func endAll(pid int, ended <-chan error) error {
	endGroup(pid)
	t := time.NewTimer(killGrace)
	defer t.Stop()
	select {
	case err := <-ended:
		killGroup(pid) // the leader went at once; others may not
		return err
	case <-t.C:
		killGroup(pid)
		return <-ended
	}
}

// handlerEnv are the variables that tell a handler what happened.
func handlerEnv(e *serf.Event, self *serf.Member) []string {
	env := []string{
		"SERF_EVENT=" + e.Type.String(),
		"SERF_SELF_NAME=" + envValue(self.Name),
		"SERF_SELF_ROLE=" + envValue(tagValue(self.Tags, "role")),
	}
	for _, t := range self.Tags {
		env = append(env, "SERF_TAG_"+envName(t.Key)+"="+envValue(t.Value))
	}
	ltime := strconv.FormatUint(uint64(e.LTime), 10)
	switch e.Type {
	case serf.EventUser:
		env = append(env, "SERF_USER_EVENT="+envValue(e.Name), "SERF_USER_LTIME="+ltime)
	case serf.EventQuery:
		name := envValue(e.Name)
		env = append(env, "SERF_QUERY_NAME="+name, "SERF_QUERY_LTIME="+ltime, "SERF_USER_QUERY="+name)
	}
	return env
}

func tagValue(tags []wire.Tag, key string) string {
	for _, t := range tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// envName is a tag's key in upper case, with _ for what may not be in the name
// of a variable.
func envName(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToUpper(key))
}

// envValue is s up to a zero byte, which no variable can hold: a process with
// one in its environment cannot be started at all.
func envValue(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// handlerInput is what a handler gets on its standard input: a line for each
// member, or the payload with an end of line.
func handlerInput(e *serf.Event) []byte {
	if e.Type == serf.EventUser || e.Type == serf.EventQuery {
		b := append([]byte(nil), e.Payload...)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
		return b
	}
	var b []byte
	for i := range e.Members {
		m := &e.Members[i]
		pairs := make([]string, len(m.Tags))
		for j, t := range m.Tags {
			pairs[j] = t.Key + "=" + t.Value
		}
		for j, field := range []string{m.Name, m.Addr.Addr().String(), tagValue(m.Tags, "role"), strings.Join(pairs, ",")} {
			if j > 0 {
				b = append(b, '\t')
			}
			b = append(b, lineField.Replace(field)...)
		}
		b = append(b, '\n')
	}
	return b
}

// lineField keeps tabs and ends of line out of a field.
var lineField = strings.NewReplacer("\t", `\t`, "\n", `\n`)
