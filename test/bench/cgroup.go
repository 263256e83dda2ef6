package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// wholeCPU is the memory, in MB, that comes with one CPU.
//
// Source: AWS's "Configure Lambda function memory".
const wholeCPU = 1769

// quotaPeriod is how often Lambda hands out CPU time, as it was measured from outside
// (arXiv:2506.01283), in microseconds.
const quotaPeriod = 20_000

// group is a cgroup whose processes get a share of a CPU.
type group struct{ dir string }

// groups numbers them.
var groups atomic.Int64

// newGroup returns a group with the share of a function of so many MB. It needs root,
// and the cgroup file system in version 2, or the CPU controller's in version 1.
func newGroup(memory int) (*group, error) {
	quota := min(memory, wholeCPU) * quotaPeriod / wholeCPU
	name := fmt.Sprintf("segura-bench-%d-%d", os.Getpid(), groups.Add(1))
	root, settings := "/sys/fs/cgroup", [][2]string{{"cpu.max", fmt.Sprintf("%d %d", quota, quotaPeriod)}}
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		root = "/sys/fs/cgroup/cpu"
		settings = [][2]string{{"cpu.cfs_period_us", strconv.Itoa(quotaPeriod)}, {"cpu.cfs_quota_us", strconv.Itoa(quota)}}
	case err != nil:
		return nil, err
	case !strings.Contains(string(controllers), "cpu "):
		return nil, errors.New("cgroups without the CPU controller")
	default:
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0o644); err != nil {
			return nil, err
		}
	}
	g := &group{filepath.Join(root, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	for _, s := range settings {
		if err := os.WriteFile(filepath.Join(g.dir, s[0]), []byte(s[1]), 0o644); err != nil {
			return nil, errors.Join(err, g.remove())
		}
	}
	return g, nil
}

// add puts a process into the group, with all its threads.
func (g *group) add(pid int) error {
	return os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
}

// remove removes the group, whose processes have ended.
func (g *group) remove() error { return os.Remove(g.dir) }

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
