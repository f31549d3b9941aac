package handler

import (
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// maxEnvValue bounds what a variable may hold that grows with the number of
// members: the kernel refuses to start a process with more than 128 KiB in one.
const maxEnvValue = 32 << 10

// handlerEnv are the variables that tell a handler what happened.
func handlerEnv(j *Job) []string {
	e, self := &j.Event, &j.self
	env := []string{
		"SERF_EVENT=" + e.Type.String(),
		"SERF_SELF_NAME=" + envValue(self.Name),
		"SERF_SELF_ROLE=" + envValue(tagValue(self.Tags, "role")),
	}
	if a := self.Addr; a.IsValid() {
		env = append(env, "SERF_SELF_ADDR="+a.Addr().String(), "SERF_SELF_PORT="+strconv.Itoa(int(a.Port())))
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
		env = append(env, "SERF_QUERY_NAME="+name, "SERF_QUERY_LTIME="+ltime, "SERF_USER_QUERY="+name,
			"SERF_QUERY_SOURCE="+envValue(e.Source))
	case serf.EventMemberUpdate:
		if old := oldTags(j); len(old) <= maxEnvValue {
			env = append(env, "SERF_OLD_TAGS="+envValue(old))
		}
	}
	return env
}

// oldTags are the tags that members had before an update: a line for each, in
// the order of standard input.
func oldTags(j *Job) string {
	lines := make([]string, len(j.Event.Members))
	for i := range j.Event.Members {
		lines[i] = lineField.Replace(tagPairs(j.old[j.Event.Members[i].Name]))
	}
	return strings.Join(lines, "\n")
}

// tagPairs are tags as handlers get them.
func tagPairs(tags []wire.Tag) string {
	pairs := make([]string, len(tags))
	for i, t := range tags {
		pairs[i] = t.Key + "=" + t.Value
	}
	return strings.Join(pairs, ",")
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
func handlerInput(j *Job) []byte {
	e := &j.Event
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
		for k, field := range []string{m.Name, m.Addr.Addr().String(), tagValue(m.Tags, "role"), tagPairs(m.Tags)} {
			if k > 0 {
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
