package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// Ports that tests choose are below those any system gives to outgoing connections (some
// begin at 16000), so no connection takes one before it is listened on.
const (
	lowestPort  = 10000
	highestPort = 15999
)

// reserved are the locks of the ports this process was given. They last as long as it
// does: what listens there may be started, stopped and started again.
var reserved struct {
	sync.Mutex
	locks []*os.File
}

// freePort gives address with its port 0 replaced by one that nobody listens on, on any
// address, and that no other test of this machine will be given while this process lives.
func freePort(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "0" {
		return address, err
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("postroad-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for range 1000 {
		port := strconv.Itoa(lowestPort + rand.IntN(highestPort-lowestPort+1))
		if err = reserve(filepath.Join(dir, port), port); err == nil {
			return net.JoinHostPort(host, port), nil
		}
	}
	return "", fmt.Errorf("no free port from %d to %d: %w", lowestPort, highestPort, err)
}

// reserve takes the port's lock, unless another process has it or something listens.
func reserve(lock, port string) error {
	f, err := os.OpenFile(lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := listenable(port); err != nil {
		return errors.Join(err, f.Close())
	}
	reserved.Lock()
	reserved.locks = append(reserved.locks, f)
	reserved.Unlock()
	return nil
}

// listenable tells whether the port can be listened on. A process that another goroutine starts meanwhile
// would have the listener from its fork to its exec, and on a busy machine still when the port is wanted in
// earnest: so nobody forks while it is open. (Elsewhere net takes the same lock itself, and must not wait for us.)
func listenable(port string) error {
	if runtime.GOOS == "linux" {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	return l.Close()
}
