package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// wholeCPU is the memory, in MB, that comes with one CPU.
//
// Source: AWS's "Configure Lambda function memory".
const wholeCPU = 1769

// quotaPeriod is how often Lambda hands out CPU time, as it was measured from outside
// (arXiv:2506.01283), in microseconds.
const quotaPeriod = 20_000

// limit puts a process, with all its threads, into a new cgroup that has the share of a
// CPU of a function with so much memory, in MB, and returns the group's folder. It needs
// root, and the cgroup file system in version 2, or the CPU controller's in version 1.
func limit(pid, memory int) (group string, err error) {
	quota := min(memory, wholeCPU) * quotaPeriod / wholeCPU
	root, settings := "/sys/fs/cgroup", [][2]string{{"cpu.max", fmt.Sprintf("%d %d", quota, quotaPeriod)}}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); errors.Is(err, fs.ErrNotExist) {
		root = "/sys/fs/cgroup/cpu"
		settings = [][2]string{{"cpu.cfs_period_us", strconv.Itoa(quotaPeriod)}, {"cpu.cfs_quota_us", strconv.Itoa(quota)}}
	} else if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0o644); err != nil {
		return "", err // it has no CPU controller
	}
	if group, err = os.MkdirTemp(root, "segura-bench-"); err != nil {
		return "", err
	}
	for _, s := range append(settings, [2]string{"cgroup.procs", strconv.Itoa(pid)}) {
		if err := os.WriteFile(filepath.Join(group, s[0]), []byte(s[1]), 0o644); err != nil {
			unlimit(group)
			return "", err
		}
	}
	return group, nil
}

// unlimit removes a group whose processes have ended; of none, it does nothing.
func unlimit(group string) { _ = os.Remove(group) }

// usedCPU is the CPU time of the threads of a running process.
func usedCPU(pid int) (sum time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is well-formed
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(first, 10, 64) // the kernel's own
		sum += time.Duration(ns)
	}
	return sum
}
