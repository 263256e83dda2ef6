package runtimeapi

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxLogBytes   = 64 << 20
	drainDeadline = 10 * time.Second // for what a child of the process may hold open
)

// logbook keeps the lines of all processes of a function.
type logbook struct {
	mu      sync.Mutex
	lines   []string
	dropped int // lines forgotten so far; positions count them
	bytes   int
	output  io.Writer
}

func newLogbook(output io.Writer) *logbook { return &logbook{output: output} }

func (b *logbook) add(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
	b.bytes += len(line)
	for b.bytes > maxLogBytes && len(b.lines) > 1 {
		b.bytes -= len(b.lines[0])
		b.lines = b.lines[1:]
		b.dropped++
	}
	if b.output != nil {
		_, _ = io.WriteString(b.output, line+"\n")
	}
}

// position is where the next line goes.
func (b *logbook) position() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped + len(b.lines)
}

// between returns the lines from one position up to another.
func (b *logbook) between(from, to int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, to = max(from-b.dropped, 0), min(to-b.dropped, len(b.lines))
	if from >= to {
		return nil
	}
	return append([]string(nil), b.lines[from:to]...)
}

func (b *logbook) all() []string { return b.between(0, b.position()) }

// logPipe carries standard output and standard error of one process into the
// logbook, in the order in which they were written.
type logPipe struct {
	book   *logbook
	reader *os.File
	writer *os.File // held open here too, to write marks
	prefix string   // starts every mark; no function can guess it
	done   chan struct{}

	mu      sync.Mutex
	closed  bool
	marks   int
	waiting map[string]chan struct{} // closed when the mark comes out at the other end
}

func newLogPipe(book *logbook) (*logPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open log pipe: %w", err)
	}
	p := &logPipe{book: book, reader: r, writer: w, done: make(chan struct{}),
		prefix: "\x00" + rand.Text() + " ", waiting: map[string]chan struct{}{}}
	go p.read()
	return p, nil
}

func (p *logPipe) read() {
	defer close(p.done)
	in := bufio.NewReader(p.reader)
	unfinished := "" // what preceded a mark without a line break
	for {
		line, err := in.ReadString('\n')
		before, mark, isMark := strings.Cut(unfinished+strings.TrimSuffix(line, "\n"), p.prefix)
		unfinished = ""
		if isMark {
			unfinished = before
			p.passed(mark)
		} else if err == nil || before != "" {
			p.book.add(before)
		}
		if err != nil {
			return
		}
	}
}

func (p *logPipe) passed(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if passed, ok := p.waiting[mark]; ok {
		close(passed)
		delete(p.waiting, mark)
	}
}

// flush waits until everything that the process has written up to now is in
// the logbook. A pipe keeps order, so it sends a mark of its own through it.
func (p *logPipe) flush() {
	p.mu.Lock()
	closed := p.closed
	p.marks++
	mark := strconv.Itoa(p.marks)
	passed := make(chan struct{})
	p.waiting[mark] = passed
	p.mu.Unlock()
	if !closed {
		// An error means that the pipe has just been closed.
		_, _ = io.WriteString(p.writer, p.prefix+mark+"\n")
	}
	select {
	case <-passed:
	case <-p.done:
	case <-time.After(drainDeadline):
	}
}

// close takes in the rest after the process has ended.
func (p *logPipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.writer.Close()
	select {
	case <-p.done:
	case <-time.After(drainDeadline):
	}
	_ = p.reader.Close()
	<-p.done
}
