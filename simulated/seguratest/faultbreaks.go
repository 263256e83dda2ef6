package seguratest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

func breaking(name string, play func(*exchange)) Fault { return Fault{name: name, play: play} }

// abort ends the exchange and its connection without another byte.
func abort() { panic(http.ErrAbortHandler) }

func (x *exchange) flush() { _ = http.NewResponseController(x.w).Flush() }

// resetConnection sends a TCP RST.
func (x *exchange) resetConnection() {
	if c := connection(x.r); c != nil {
		if tracked, ok := c.NetConn().(*conn); ok {
			tracked.reset()
		}
	}
	abort()
}

// Hang says nothing until the client goes.
func Hang() Fault { return breaking("hang", (*exchange).gone) }

// HangMidBody sends the status and half of a success, then nothing until the
// client goes.
func HangMidBody() Fault {
	return breaking("hang mid-body", func(x *exchange) {
		x.half(x.plausible())
		x.gone()
	})
}

// half sends the headers of the reply and the first half of its body.
func (x *exchange) half(a reply) {
	x.head(a, len(a.body))
	_, _ = io.WriteString(x.w, a.body[:len(a.body)/2])
	x.flush()
}

// SlowDrip is the faithful answer, one byte each interval.
func SlowDrip(interval time.Duration) Fault {
	return breaking("slow drip", func(x *exchange) {
		a := x.answer()
		x.head(a, len(a.body))
		for i := range len(a.body) {
			x.flush()
			x.pause(interval)
			if _, err := io.WriteString(x.w, a.body[i:i+1]); err != nil {
				abort()
			}
		}
	})
}

// ResetConnection sends a TCP RST instead of a reply.
func ResetConnection() Fault { return breaking("reset", (*exchange).resetConnection) }

// ResetMidBody sends half of a success, then a TCP RST.
func ResetMidBody() Fault {
	return breaking("reset mid-body", func(x *exchange) {
		x.half(x.plausible())
		x.pause(5 * time.Millisecond) // so that the client has read the half
		x.resetConnection()
	})
}

// CloseConnection closes the connection in good order instead of a reply: EOF.
func CloseConnection() Fault {
	return breaking("close", func(x *exchange) {
		if c := connection(x.r); c != nil {
			_ = c.Close()
		}
		abort()
	})
}

// Drain is the faithful answer and the end of the connection after it.
func Drain() Fault {
	return replying("drain", (*exchange).answer).WithHeader("Connection", "close")
}

// CutShort declares the length of a success and sends half of it.
func CutShort() Fault {
	return breaking("cut short", func(x *exchange) { x.half(x.plausible()) })
}

// CutAfterJSON sends the whole JSON of a success but declares more bytes than
// that.
func CutAfterJSON() Fault {
	return breaking("cut after JSON", func(x *exchange) {
		a := x.plausible()
		x.head(a, len(a.body)+64)
		_, _ = io.WriteString(x.w, a.body)
	})
}

// CutChunked sends half of a success without a length and breaks off: the last
// chunk is missing.
func CutChunked() Fault {
	return breaking("cut chunked", func(x *exchange) {
		a := x.plausible()
		x.head(a, -1)
		_, _ = io.WriteString(x.w, a.body[:len(a.body)/2])
		x.flush()
		abort()
	})
}

// CutJSON sends half of a success, well framed.
func CutJSON() Fault {
	return replying("cut JSON", func(x *exchange) reply {
		a := x.plausible()
		a.body = a.body[:len(a.body)/2]
		return a
	})
}

// GiantBody is a JSON object whose message is of so many MiB; without end where
// that is negative.
func GiantBody(mebibytes int) Fault {
	return breaking("giant body", func(x *exchange) {
		x.head(jsonReply(200, ""), -1)
		_, _ = io.WriteString(x.w, `{"code":200,"response":{"status":200,"error":false,"message":"`)
		x.stream([]byte(strings.Repeat("a", 1<<20)), mebibytes)
		_, _ = io.WriteString(x.w, `"}}`)
	})
}

// GzipBomb is GiantBody of blanks, gzip-compressed to a thousandth.
func GzipBomb(mebibytes int) Fault {
	return breaking("gzip bomb", func(x *exchange) {
		a := jsonReply(200, "")
		a.header.Set("Content-Encoding", "gzip")
		x.head(a, -1)
		// Gzip files one after another are one gzip file.
		x.stream(compressed(bytes.Repeat([]byte(" "), 1<<20)), mebibytes)
		_, _ = x.w.Write(compressed([]byte("{}")))
	})
}

func compressed(data []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(data)
	_ = z.Close()
	return out.Bytes()
}

// stream writes the block so many times, or until the client goes.
func (x *exchange) stream(block []byte, times int) {
	for i := 0; times < 0 || i < times; i++ {
		if _, err := x.w.Write(block); err != nil || x.r.Context().Err() != nil {
			abort()
		}
	}
}

// filler is a header value of that length.
func filler(bytes int) string { return strings.Repeat("~", bytes) }

// EndlessHeaders sends header after header, without end.
func EndlessHeaders() Fault {
	return breaking("endless headers", func(x *exchange) {
		value := filler(8 << 10)
		_, err := io.WriteString(connection(x.r), "HTTP/1.1 200 OK\r\n")
		for i := 0; err == nil; i++ {
			_, err = fmt.Fprintf(connection(x.r), "X-Filler-%d: %s\r\n", i, value)
		}
		abort()
	})
}

// EndlessEarlyHints sends interim replies, 103, until the client goes.
func EndlessEarlyHints() Fault {
	return breaking("endless early hints", func(x *exchange) {
		x.w.Header().Set("Link", "</"+filler(32<<10)+".css>; rel=preload")
		for x.r.Context().Err() == nil {
			x.w.WriteHeader(http.StatusEarlyHints)
		}
		abort()
	})
}

// NotHTTP sends something that is not HTTP, within TLS, and closes.
func NotHTTP() Fault {
	return breaking("not HTTP", func(x *exchange) {
		if c := connection(x.r); c != nil {
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n")
			x.pause(5 * time.Millisecond) // so that the client has read it
			_ = c.Close()
		}
		abort()
	})
}
