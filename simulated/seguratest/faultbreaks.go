package seguratest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"time"
)

func (x *exchange) flush() { _ = http.NewResponseController(x.w).Flush() }

// resetConnection sends a TCP RST.
func (x *exchange) resetConnection() {
	_, tracked := connection(x.r)
	tracked.reset()
	abort()
}

// half sends the headers of a success and the first half of its body; framed says
// that its length is declared.
func (x *exchange) half(framed bool) {
	a := x.plausible()
	length := len(a.body)
	if !framed {
		length = -1
	}
	x.head(a, length)
	x.write(a.body[:len(a.body)/2])
	x.flush()
}

// Hang says nothing until the client goes.
func Hang() Fault { return Fault{name: "hang", play: (*exchange).gone} }

// HangMidBody sends the status and half of a success, then nothing until the
// client goes.
func HangMidBody() Fault {
	return Fault{name: "hang mid-body", play: func(x *exchange) {
		x.half(true)
		x.gone()
	}}
}

// SlowDrip is the faithful answer, one byte each interval.
func SlowDrip(interval time.Duration) Fault {
	return Fault{name: "slow drip", play: func(x *exchange) {
		a := x.answer()
		x.head(a, len(a.body))
		for i := range len(a.body) {
			x.flush()
			x.pause(interval)
			if _, err := io.WriteString(x.w, a.body[i:i+1]); err != nil {
				abort()
			}
		}
	}}
}

// ResetConnection sends a TCP RST instead of a reply.
func ResetConnection() Fault { return Fault{name: "reset", play: (*exchange).resetConnection} }

// ResetMidBody sends half of a success, then a TCP RST.
func ResetMidBody() Fault {
	return Fault{name: "reset mid-body", play: func(x *exchange) {
		x.half(true)
		x.pause(5 * time.Millisecond) // so that the client has read the half
		x.resetConnection()
	}}
}

// CloseConnection closes the connection in good order instead of a reply: EOF.
func CloseConnection() Fault {
	return Fault{name: "close", play: func(x *exchange) {
		c, _ := connection(x.r)
		_ = c.Close()
		abort()
	}}
}

// Drain is the faithful answer and the end of the connection after it.
func Drain() Fault {
	return Fault{name: "drain"}.WithHeader("Connection", "close")
}

// CutShort declares the length of a success and sends half of it.
func CutShort() Fault {
	return Fault{name: "cut short", play: func(x *exchange) { x.half(true) }}
}

// CutAfterJSON sends the whole JSON of a success but declares more bytes than
// that.
func CutAfterJSON() Fault {
	return Fault{name: "cut after JSON", play: func(x *exchange) {
		a := x.plausible()
		x.head(a, len(a.body)+64)
		x.write(a.body)
	}}
}

// CutChunked sends half of a success without a length and breaks off: the last
// chunk is missing.
func CutChunked() Fault {
	return Fault{name: "cut chunked", play: func(x *exchange) {
		x.half(false)
		abort()
	}}
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
	return Fault{name: "giant body", play: func(x *exchange) {
		x.head(jsonReply(200, ""), -1)
		x.write(`{"code":200,"response":{"status":200,"error":false,"message":"`)
		x.stream([]byte(strings.Repeat("a", 1<<20)), mebibytes)
		x.write(`"}}`)
	}}
}

// GzipBomb is GiantBody of blanks, gzip-compressed to a thousandth.
func GzipBomb(mebibytes int) Fault {
	return Fault{name: "gzip bomb", play: func(x *exchange) {
		x.w.Header().Set("Content-Encoding", "gzip")
		x.head(jsonReply(200, ""), -1)
		// Gzip files one after another are one gzip file.
		x.stream(compressed(bytes.Repeat([]byte(" "), 1<<20)), mebibytes)
		_, _ = x.w.Write(compressed([]byte("{}")))
	}}
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

// EndlessHeaders sends header after header, without end.
func EndlessHeaders() Fault {
	return Fault{name: "endless headers", play: func(x *exchange) {
		c, _ := connection(x.r)
		header := "X-Filler: " + strings.Repeat("~", 8<<10) + "\r\n"
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for err == nil {
			_, err = io.WriteString(c, header)
		}
		abort()
	}}
}

// EndlessEarlyHints sends interim replies, 103, until the client goes.
func EndlessEarlyHints() Fault {
	return Fault{name: "endless early hints", play: func(x *exchange) {
		x.w.Header().Set("Link", "</"+strings.Repeat("~", 32<<10)+".css>; rel=preload")
		for x.r.Context().Err() == nil {
			x.w.WriteHeader(http.StatusEarlyHints)
		}
		abort()
	}}
}

// NotHTTP sends something that is not HTTP, within TLS, and closes.
func NotHTTP() Fault {
	return Fault{name: "not HTTP", play: func(x *exchange) {
		c, _ := connection(x.r)
		_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n")
		x.pause(5 * time.Millisecond) // so that the client has read it
		_ = c.Close()
		abort()
	}}
}
