package runtimeapi

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// processAttributes make the kernel end the process when this one dies, and
// keep the terminal's Ctrl-C from it.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// peakRSS reads the largest resident set in bytes so far; zero where the
// process is gone. The kernel's rusage would count what the parent had at the
// time of the fork.
func peakRSS(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kib int64
	_, _ = fmt.Fscan(bytes.NewReader(rest), &kib)
	return kib << 10
}
