package applier

import (
	"encoding/json"
	"fmt"

	"github.com/ibuki-dev/ibuki/groonga"
)

// pauses is the name of the command that Pause makes. No server gets it.
const pauses = "ibuki_pause"

// Pause makes a command that has nothing be applied to its server after it: what the server holds is the state of the
// data at that place of the log, until the Hold that Config.Paused is given has ended.
func Pause() *groonga.Command { return command(pauses) }

// Paused is the answer to Pause.
type Paused struct {
	Hold  string `json:"hold"`  // as Config.Paused names it
	Index uint64 `json:"index"` // of the entry: all before it is applied, nothing after it
	Term  uint64 `json:"term"`
}

// pause takes up an entry that Pause has made, when all before it is applied.
func (s *session) pause(it *item) groonga.Answer {
	if s.held != nil || s.cfg.Paused == nil {
		return refusal("%v: another server is being filled from it, or it is backed up already", ErrHeld)
	}
	h := s.newHold()
	h.given, h.all, h.Position = true, true, s.current(s.queue.position())
	s.held, s.queue.held, s.queue.paused = h, true, true
	body, err := json.Marshal(Paused{s.cfg.Paused(h), it.Index, it.Term})
	if err != nil {
		panic(err) // texts and numbers
	}
	return groonga.Answer{Status: 200, ContentType: groonga.JSONType, Body: fmt.Appendf(nil, "[[0,0.0,0.0],%s]", body)}
}

// refusal is the answer of a server that cannot do a command of the gateway's own.
func refusal(format string, args ...any) groonga.Answer {
	text, err := json.Marshal(fmt.Sprintf(format, args...))
	if err != nil {
		panic(err) // a text
	}
	return groonga.Answer{Status: 200, ContentType: groonga.JSONType, Code: -22, Body: fmt.Appendf(nil, "[[-22,0.0,0.0,%s],false]", text)}
}
