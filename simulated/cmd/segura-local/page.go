package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	width      = 80 // of a terminal, unless somebody has made it larger
	labelWidth = 9
	lineWidth  = width - labelWidth - 2 // of what stands beside a label
	maxLines   = 120                    // of one document
)

// page writes for a person.
type page struct {
	out   io.Writer
	color bool
}

func (p *page) print(text string) { _, _ = io.WriteString(p.out, text) }

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

// field writes a label and lines of text beside it.
func (p *page) field(label, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		p.lines(label, wrap(line)...)
		label = ""
	}
}

// lines writes a label and lines beside it, however long, for somebody to copy.
func (p *page) lines(label string, lines ...string) {
	for _, line := range lines {
		p.print("  " + p.faint(fmt.Sprintf("%-*s", labelWidth, label)) + line + "\n")
		label = ""
	}
}

func (p *page) rule(title, about string) {
	p.print("\n" + p.faint("── ") + p.bold(title) + " " +
		p.faint(strings.Repeat("─", max(width-4-utf8.RuneCountInString(title), 2))) + "\n  " + about + "\n")
}

var color = regexp.MustCompile("\x1b\\[[0-9]*m")

func visible(text string) int { return utf8.RuneCountInString(color.ReplaceAllString(text, "")) }

// wrap breaks a line that is too long at its spaces, and what has none anywhere. What
// follows is indented as the line is, and a little more.
func wrap(line string) []string {
	if visible(line) <= lineWidth {
		return []string{line}
	}
	text := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(text)]
	var lines []string
	for word := range strings.SplitSeq(text, " ") {
		last := len(lines) - 1
		if last >= 0 && visible(lines[last])+1+visible(word) <= lineWidth {
			lines[last] += " " + word
			continue
		}
		if last >= 0 {
			indent = line[:len(line)-len(text)] + "  "
		}
		for runes := []rune(word); visible(word) > lineWidth-len(indent); runes = []rune(word) {
			lines = append(lines, indent+string(runes[:lineWidth-len(indent)]))
			word = string(runes[lineWidth-len(indent):])
		}
		lines = append(lines, indent+word)
	}
	return lines
}

// layOut formats JSON for reading: what fits on a line stays on one, and no more
// than so many lines are shown. Text that is no JSON comes back as it is.
func layOut(document []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, bytes.TrimSpace(document), "", "  ") != nil {
		return shorten(printable(string(document)))
	}
	if whole := onOneLine(indented.String()); len(whole) <= lineWidth {
		return whole
	}
	return shorten(innermost.ReplaceAllStringFunc(indented.String(), onOneLine))
}

// Both are for JSON that was indented, where no string has a line break.
var (
	innermost = regexp.MustCompile(`[{\[]\n[^{}\[\]]*\n *[}\]]`) // objects and arrays with none in them
	lineBreak = regexp.MustCompile(`([{\[]?)\n *([}\]]?)`)
)

// onOneLine joins lines of indented JSON, unless that becomes too long.
func onOneLine(indented string) string {
	line := lineBreak.ReplaceAllStringFunc(indented, func(found string) string {
		if brackets := strings.Trim(found, "\n "); brackets != "" {
			return brackets
		}
		return " "
	})
	if len(line) > lineWidth {
		return indented
	}
	return line
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

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
