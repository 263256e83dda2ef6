//go:build !linux

package runtimeapi

import "syscall"

// processAttributes keep the terminal's Ctrl-C from the process. A process
// whose parent has died ends by itself here, when its Runtime API is gone.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// peakRSS is not known while the process runs.
func peakRSS(int) int64 { return 0 }
