package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	lineWidth = 96  // of JSON, before it is laid out over several lines
	maxLines  = 120 // of one document
)

// page writes for a person. What it writes goes through the table of
// confidential values first.
type page struct {
	out          io.Writer
	color        bool
	confidential func() map[string]string
}

func (p *page) print(text string) {
	if p.confidential != nil {
		for value, what := range p.confidential() {
			text = strings.ReplaceAll(text, value, "["+what+"]")
		}
	}
	_, _ = io.WriteString(p.out, text)
}

func (p *page) printf(format string, args ...any) { p.print(fmt.Sprintf(format, args...)) }

// paint wraps text into one of the terminal's colors.
func (p *page) paint(code, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *page) bold(text string) string  { return p.paint("1", text) }
func (p *page) faint(text string) string { return p.paint("2", text) }
func (p *page) good(text string) string  { return p.paint("32", text) }
func (p *page) bad(text string) string   { return p.paint("31", text) }

const labelWidth = 9

// field writes a label and lines of text beside it.
func (p *page) field(label, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		p.print("  " + p.faint(fmt.Sprintf("%-*s", labelWidth, label)) + line + "\n")
		label = ""
	}
}

func (p *page) rule(title, about string) {
	line := "── " + title + " ── " + about + " "
	p.print("\n" + p.faint("── ") + p.bold(title) + p.faint(" ── ") + about + " " +
		p.faint(strings.Repeat("─", max(lineWidth+labelWidth-utf8.RuneCountInString(line), 2))) + "\n")
}

// layOut formats JSON for reading: what fits on a line stays on one, and no more
// than so many lines are shown. Text that is no JSON comes back as it is.
func layOut(document []byte) string {
	var compact bytes.Buffer
	if json.Compact(&compact, document) != nil {
		return shorten(printable(string(document)))
	}
	var out strings.Builder
	writeValue(&out, compact.Bytes(), 0)
	return shorten(out.String())
}

func shorten(text string) string {
	lines := strings.Split(text, "\n")
	if len(lines) <= maxLines {
		return text
	}
	hidden := len(lines) - maxLines
	head, tail := lines[:maxLines-5], lines[len(lines)-5:]
	return strings.Join(head, "\n") + fmt.Sprintf("\n… %d more lines …\n", hidden) + strings.Join(tail, "\n")
}

// writeValue writes a container that does not fit on a line over several:
// numbers, words and the like side by side, objects and arrays each on a line.
func writeValue(out *strings.Builder, value json.RawMessage, depth int) {
	width := lineWidth - 2*depth
	if len(value) <= width || value[0] != '{' && value[0] != '[' {
		out.WriteString(spaced(value))
		return
	}
	indent := "\n" + strings.Repeat("  ", depth+1)
	out.WriteByte(value[0])
	column, afterContainer := width, false
	members := elements(value)
	for i, member := range members {
		isContainer := member.value[0] == '{' || member.value[0] == '['
		length := len(member.name) + len(member.value) + len(", : ")
		if isContainer || afterContainer || column+length > width {
			out.WriteString(indent)
			column = 0
		} else {
			out.WriteByte(' ')
		}
		out.WriteString(member.name)
		writeValue(out, member.value, depth+1)
		if i < len(members)-1 {
			out.WriteByte(',')
		}
		column, afterContainer = column+length, isContainer
	}
	out.WriteString(indent[:len(indent)-2])
	out.WriteByte(value[len(value)-1])
}

// element is one member of an object, or of an array, where it has no name.
type element struct {
	name  string // in quotes, with a colon
	value json.RawMessage
}

// elements takes compact JSON apart, in its order.
func elements(container json.RawMessage) (all []element) {
	decoder := json.NewDecoder(bytes.NewReader(container))
	_, _ = decoder.Token() // the bracket: it is there, the JSON is valid
	for decoder.More() {
		var e element
		if container[0] == '{' {
			name, err := decoder.Token()
			if err != nil {
				return all
			}
			e.name = fmt.Sprintf("%q: ", name)
		}
		if decoder.Decode(&e.value) != nil {
			return all
		}
		all = append(all, e)
	}
	return all
}

// spaced puts a space after each comma and colon outside strings.
func spaced(compact []byte) string {
	var out strings.Builder
	inString, escaped := false, false
	for _, c := range compact {
		out.WriteByte(c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == ':'):
			out.WriteByte(' ')
		}
	}
	return out.String()
}

// printable replaces what could steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '�'
		}
		return r
	}, text)
}

func milliseconds(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
