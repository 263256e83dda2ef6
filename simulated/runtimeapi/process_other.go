//go:build !linux

package runtimeapi

import (
	"os"
	"syscall"
)

// processAttributes keep the terminal's Ctrl-C from the process. A process
// whose parent has died ends by itself here, when its Runtime API is gone.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// peakRSS is not known while the process runs.
func peakRSS(int) int64 { return 0 }

// rusageRSS is the largest resident set, in bytes on macOS.
func rusageRSS(state *os.ProcessState) int64 {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		return int64(usage.Maxrss)
	}
	return 0
}
