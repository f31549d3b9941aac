package groonga

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Form is the form that a client wants its answer in.
type Form struct {
	Version  int    // command_version: the envelope's layout
	Type     string // output_type: "json", "xml", "tsv" or "msgpack"; of any other Groonga gives an empty body
	Callback string // of JSON: the function that the document is an argument of
	Pretty   bool   // of JSON: one value a line
}

// latestVersion is the newest command_version that Groonga knows.
const latestVersion = 3

// Form is what the arguments say of the answer's form.
func (c *Command) Form() Form {
	f := Form{Version: 1, Type: c.Get("output_type"), Callback: c.Get("callback"), Pretty: c.Get("output_pretty") == "yes"}
	if n, err := strconv.ParseUint(c.Get("command_version"), 10, 31); err == nil && n > 0 {
		f.Version = int(n)
	}
	if _, given := c.Lookup("output_type"); !given {
		f.Type = "json"
	} else if f.Type == "" {
		f.Type = "none" // Groonga knows no notation of that name
	}
	return f
}

// Understood reports whether Groonga knows the version; else it refuses the command.
func (f Form) Understood() bool { return f.Version <= latestVersion }

// Asked is the command as servers are asked for it where the answer is read or put
// together here: in the form of JSON that names its values.
func (c *Command) Asked() *Command {
	asked := c.Clone()
	for _, name := range []string{"output_type", "callback", "output_pretty"} {
		asked.Del(name)
	}
	asked.Set("command_version", strconv.Itoa(latestVersion))
	return asked
}

// contentType is the type of a body of that form.
func (f Form) contentType() string {
	switch {
	case f.Type == "json" && f.Callback != "":
		return "application/javascript"
	case f.Type == "json":
		return JSONType
	case f.Type == "xml":
		return "text/xml"
	case f.Type == "tsv":
		return "text/tab-separated-values"
	case f.Type == "msgpack":
		return "application/x-msgpack"
	}
	return "application/octet-stream"
}

// Header is what a document says of the command itself.
type Header struct {
	Code           int // Groonga's return code
	Start, Elapsed string
	Fault          *Fault // what is wrong, if Code is not 0
}

// Fault is Groonga's description of what is wrong.
type Fault struct {
	Message  string `json:"message"`
	Function string `json:"function"` // in which the server noticed; "" where a gateway did
	File     string `json:"file"`
	Line     int    `json:"line"`
}

// readFault reads what is wrong; nil if nothing is.
func (a *answer) readFault() *Fault {
	if a.code == 0 {
		return nil
	}
	f := new(Fault)
	if a.object {
		head, _ := splitObject(a.header)
		_ = json.Unmarshal(field(head, "error"), f) // what is missing stays empty
		return f
	}
	head, _ := splitArray(a.header)
	if len(head) > 3 {
		f.Message, _ = textOf(head[3])
	}
	if len(head) > 4 {
		places, _ := splitArray(head[4])
		if len(places) > 0 {
			if place, ok := splitArray(places[0]); ok && len(place) >= 3 {
				f.Function, _ = textOf(place[0])
				f.File, _ = textOf(place[1])
				f.Line, _ = strconv.Atoi(string(place[2]))
			}
		}
	}
	return f
}

func (a *answer) head() Header {
	return Header{int(a.code), a.start.String(), a.elapsed.String(), a.readFault()}
}

// Write writes a document; a nil body is none.
func (f Form) Write(h Header, body *Value) (contentType string, document []byte) {
	var b bytes.Buffer
	switch f.Type {
	case "json":
		f.writeJSON(&b, h, body)
	case "xml":
		writeXMLDocument(&b, h, body)
	case "tsv":
		writeTSVDocument(&b, h, body)
	case "msgpack":
		document := f.envelope(h, body)
		document.writeMsgpack(&b)
	}
	return f.contentType(), b.Bytes()
}

func (f Form) writeJSON(b *bytes.Buffer, h Header, body *Value) {
	document := f.envelope(h, body)
	var text bytes.Buffer
	if f.Pretty {
		document.writePretty(&text, 0)
	} else {
		document.writeJSON(&text)
	}
	b.Write(f.called(text.Bytes()))
}

// called wraps JSON in the client's callback.
func (f Form) called(document []byte) []byte {
	if f.Callback == "" {
		return document
	}
	return slices.Concat([]byte(f.Callback), []byte("("), document, []byte(");"))
}

// envelope puts header and body together.
func (f Form) envelope(h Header, body *Value) *Value {
	if f.Version >= 3 {
		head := object("header", "return_code", integerValue(int64(h.Code)), "start_time", number(h.Start), "elapsed_time", number(h.Elapsed))
		if h.Fault != nil {
			head.set("error", h.Fault.value())
		}
		whole := object("", "header", head)
		if body != nil {
			whole.set("body", body)
		}
		return whole
	}
	head := array("", integerValue(int64(h.Code)), number(h.Start), number(h.Elapsed))
	if h.Fault != nil {
		places := array("")
		if h.Fault.Function != "" {
			places.add(array("", text(h.Fault.Function), text(h.Fault.File), integerValue(int64(h.Fault.Line))))
		}
		head.add(text(h.Fault.Message), places)
	}
	whole := array("", head)
	if body != nil {
		whole.add(body)
	}
	return whole
}

func (f *Fault) value() *Value {
	v := object("error", "message", text(f.Message))
	if f.Function != "" {
		v.set("function", text(f.Function))
		v.set("file", text(f.File))
		v.set("line", integerValue(int64(f.Line)))
	}
	return v
}

func writeXMLDocument(b *bytes.Buffer, h Header, body *Value) {
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<RESULT CODE="` + strconv.Itoa(h.Code) +
		`" UP="` + h.Start + `" ELAPSED="` + h.Elapsed + `">` + "\n")
	if h.Fault != nil {
		b.WriteString("<ERROR>" + escapeXML(h.Fault.Message))
		if h.Fault.Function != "" {
			b.WriteString(`<INFO FUNC="` + escapeXML(h.Fault.Function) + `" FILE="` + escapeXML(h.Fault.File) +
				`" LINE="` + strconv.Itoa(h.Fault.Line) + `"/>`)
		}
		b.WriteString("</ERROR>")
	}
	if body != nil {
		body.writeXML(b)
	}
	b.WriteString("\n</RESULT>")
}

// xmlEscapes are the characters that Groonga escapes.
var xmlEscapes = strings.NewReplacer("<", "&lt;", ">", "&gt;", "&", "&amp;", `"`, "&quot;")

func escapeXML(s string) string { return xmlEscapes.Replace(s) }

func writeTSVDocument(b *bytes.Buffer, h Header, body *Value) {
	b.WriteString(strconv.Itoa(h.Code) + "\t" + h.Start + "\t" + h.Elapsed)
	if h.Fault != nil {
		b.WriteByte('\t')
		b.Write(escapeText(nil, h.Fault.Message))
		if h.Fault.Function != "" {
			b.WriteByte('\t')
			b.Write(escapeText(nil, h.Fault.Function))
			b.WriteByte('\t')
			b.Write(escapeText(nil, h.Fault.File))
			b.WriteString("\t" + strconv.Itoa(h.Fault.Line))
		}
	}
	b.WriteByte('\n')
	if body != nil {
		body.writeTSV(b, 0)
	}
	b.WriteString("\nEND")
}
