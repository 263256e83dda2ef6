package runtimeapi

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"slices"
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
	output io.Writer

	mu      sync.Mutex
	lines   []string
	dropped int // lines forgotten so far; positions count them
	bytes   int
}

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
	return slices.Clone(b.lines[from:to])
}

// logPipe carries standard output and standard error of one process into the
// logbook, in the order in which they were written.
type logPipe struct {
	book   *logbook
	reader *os.File
	writer *os.File // held open here too, to write marks
	mark   string   // no function can guess it
	done   chan struct{}

	flushing sync.Mutex
	passed   chan struct{} // has come out at the other end
}

func newLogPipe(book *logbook) (*logPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open log pipe: %w", err)
	}
	p := &logPipe{book: book, reader: r, writer: w, mark: "\x00" + rand.Text(), done: make(chan struct{}), passed: make(chan struct{})}
	go p.read()
	return p, nil
}

func (p *logPipe) read() {
	defer close(p.done)
	in := bufio.NewReader(p.reader)
	unfinished := "" // what preceded a mark without a line break
	for {
		line, err := in.ReadString('\n')
		before, _, isMark := strings.Cut(unfinished+strings.TrimSuffix(line, "\n"), p.mark)
		unfinished = ""
		if isMark {
			unfinished = before
			p.passed <- struct{}{}
		} else if err == nil || before != "" {
			p.book.add(before)
		}
		if err != nil {
			return
		}
	}
}

// flush waits until everything that the process has written up to now is in
// the logbook. A pipe keeps order, so it sends a mark of its own through it.
func (p *logPipe) flush() {
	p.flushing.Lock()
	defer p.flushing.Unlock()
	if _, err := io.WriteString(p.writer, p.mark+"\n"); err != nil {
		<-p.done // it is being closed
		return
	}
	select {
	case <-p.passed:
	case <-p.done:
	}
}

// close takes in the rest after the process has ended.
func (p *logPipe) close() {
	_ = p.writer.Close()
	select {
	case <-p.done:
	case <-time.After(drainDeadline):
	}
	_ = p.reader.Close()
	<-p.done
}
