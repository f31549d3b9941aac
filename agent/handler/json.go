package handler

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// eventJSON is an event as handlers get it that want JSON. Its form is described
// in docs/handlers.md; fields may be added.
type eventJSON struct {
	Event   string       `json:"event"`
	Self    memberJSON   `json:"self"`
	Members []memberJSON `json:"members,omitempty"`

	Name     string     `json:"name,omitempty"`
	LTime    uint64     `json:"ltime,omitempty"`
	Payload  *string    `json:"payload,omitempty"`        // if it is text
	Bytes    []byte     `json:"payload_base64,omitempty"` // if it is not
	Coalesce bool       `json:"coalesce,omitempty"`
	Source   string     `json:"source,omitempty"`
	Deadline *time.Time `json:"deadline,omitempty"`
}

type memberJSON struct {
	Name    string            `json:"name"`
	Addr    string            `json:"addr"`
	Port    uint16            `json:"port"`
	Status  string            `json:"status"`
	Tags    map[string]string `json:"tags"`
	OldTags map[string]string `json:"old_tags,omitempty"`
}

func newMemberJSON(m *serf.Member) memberJSON {
	return memberJSON{Name: m.Name, Addr: m.Addr.Addr().String(), Port: m.Addr.Port(), Status: m.Status.String(), Tags: mapOf(m.Tags)}
}

// handlerJSON is an event as one JSON object and an end of line.
func handlerJSON(j *Job) []byte {
	e := &j.Event
	v := eventJSON{Event: e.Type.String(), Self: newMemberJSON(&j.self), Name: e.Name, LTime: uint64(e.LTime),
		Coalesce: e.Coalesce, Source: e.Source}
	switch e.Type {
	case serf.EventUser, serf.EventQuery:
		if utf8.Valid(e.Payload) {
			text := string(e.Payload)
			v.Payload = &text
		} else {
			v.Bytes = e.Payload
		}
	}
	if !e.Deadline.IsZero() {
		v.Deadline = &e.Deadline
	}
	for i := range e.Members {
		m := newMemberJSON(&e.Members[i])
		if e.Type == serf.EventMemberUpdate {
			m.OldTags = mapOf(j.old[m.Name])
		}
		v.Members = append(v.Members, m)
	}
	b, err := json.Marshal(&v)
	if err != nil {
		panic("agent: an event cannot be written as JSON: " + err.Error()) // it has no such value
	}
	return append(b, '\n')
}

func mapOf(tags []wire.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}
