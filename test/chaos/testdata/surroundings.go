// The chaos suite compiles this file into the functions' main package by an
// overlay; no other build has it. It lets the suite choose what surrounds a process
// and cannot be chosen from outside: which server resolves names, and what time it
// is.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

func init() {
	if server := os.Getenv("CHAOS_DNS"); server != "" {
		net.DefaultResolver = &net.Resolver{
			PreferGo: true,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, server)
			},
		}
	}
	if socket := os.Getenv("CHAOS_CLOCK"); socket != "" {
		listenForTheTime(socket)
	}
}

// listenForTheTime takes from each connection a line with how many seconds the
// clock is ahead from now on, and answers with another one when it is so.
func listenForTheTime(socket string) {
	if text, err := os.ReadFile(socket + ".ahead"); err == nil { // a process before this one had been told
		seconds, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		setClockAhead(seconds)
	}
	_ = os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			if seconds, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil {
				setClockAhead(seconds)
			}
			_, _ = fmt.Fprintln(c, "so it is")
			_ = c.Close()
		}
	}()
}
