package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ticks of /proc's CPU times in a second: USER_HZ is 100 on every Linux port of today.
const ticks = 100

// cpuOf is the CPU time of a process, its threads and the children it waited for.
func cpuOf(pid int) time.Duration {
	f := statFields(pid)
	if len(f) < 15 {
		return 0
	}
	var sum int64
	for _, field := range f[11:15] { // utime stime cutime cstime
		n, _ := strconv.ParseInt(field, 10, 64)
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks
}

// cpuOfFamily adds what living children (as Postfix's daemons are its master's) use.
func cpuOfFamily(pid int) time.Duration {
	sum := cpuOf(pid)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if f := statFields(child); len(f) > 2 && f[1] == strconv.Itoa(pid) {
			sum += cpuOf(child)
		}
	}
	return sum
}

// machine is the CPU time all cores have spent since boot.
type machine struct{ busy, all time.Duration }

func readMachine() (m machine) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, field := range strings.Fields(strings.TrimPrefix(line, "cpu")) {
		n, _ := strconv.ParseInt(field, 10, 64)
		spent := time.Duration(n) * time.Second / ticks
		switch {
		case i == 3 || i == 4: // idle, waiting for the disk
			m.all += spent
		case i < 8: // user nice system irq softirq, and steal: another machine's work
			m.all, m.busy = m.all+spent, m.busy+spent
		}
	}
	return m
}

// others is the share of all cores that went, since before, to neither us nor the server
// measured: what else runs on the machine. With much of it the figures say little.
func (m machine) others(before machine, ours time.Duration) float64 {
	all := m.all - before.all
	if all <= 0 {
		return 0
	}
	return max(0, float64(m.busy-before.busy-ours)/float64(all))
}

// cpuOfUs is the CPU time of this process, load generator and sink, and of the children
// it waited for.
func cpuOfUs() time.Duration { return cpuOf(os.Getpid()) }

// statFields are those of /proc/PID/stat from the third (state) on; the second, the
// name in brackets, may hold spaces.
func statFields(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// signRaw signs with RSA-2048 and nothing else on all cores for so long and tells
// signatures a second: the ceiling of mail that is signed with such a key.
func signRaw(d time.Duration) (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte("postroad"))
	var count atomic.Int64
	var workers sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for time.Since(start) < d {
				if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err == nil {
					count.Add(1)
				}
			}
		}()
	}
	workers.Wait()
	return float64(count.Load()) / time.Since(start).Seconds(), nil
}
