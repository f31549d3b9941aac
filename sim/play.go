package sim

import (
	"bufio"
	"io"
	"strings"
)

// Play plays a script file and writes it again with the transcripts that come
// out: below each group of commands, after a line ----. Transcripts that are in
// the file already are left out. A file without any may be played too: a group
// of commands ends with an empty line.
//
// It returns the first error: a wrong command or a broken rule.
func Play(r io.Reader, w io.Writer) error {
	p := player{w: bufio.NewWriter(w)}
	defer p.w.Flush()
	in := bufio.NewScanner(r)
	for in.Scan() {
		if err := p.line(in.Text()); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return p.play()
}

// player reads a script line by line.
type player struct {
	s       Script
	w       *bufio.Writer
	group   strings.Builder // commands that were not played yet
	reading bool            // an old transcript, up to the next empty line
}

func (p *player) line(line string) error {
	empty := strings.TrimSpace(line) == ""
	switch {
	case p.reading:
		p.reading = !empty
	case line == "----":
		p.reading = true
		return p.play()
	case empty:
		if err := p.play(); err != nil {
			return err
		}
	case line[0] != '#':
		p.group.WriteString(line + "\n")
	}
	if !p.reading {
		p.w.WriteString(line + "\n")
	}
	return nil
}

// play plays the commands read so far.
func (p *player) play() error {
	if p.group.Len() == 0 {
		return nil
	}
	out, err := p.s.Run(p.group.String())
	p.group.Reset()
	if out == "" && err == nil {
		out = "ok\n"
	}
	p.w.WriteString("----\n" + out)
	return err
}
