package harness

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// built is the binary of this test process.
var built struct {
	sync.Once
	path string
	err  error
}

// Binary builds cmd/postroad and gives the path of the result. It is built once per
// process, and the processes of one source tree share the file: go build leaves it alone
// while it is up to date.
//
// POSTROAD_TEST_BINARY names another binary to take; POSTROAD_TEST_RACE=1 builds with the race
// detector.
func Binary() (string, error) {
	built.Do(func() { built.path, built.err = buildBinary() })
	return built.path, built.err
}

// Raced tells whether the binary has the race detector in it, which multiplies its
// memory and time: bounds on them mean nothing then.
func Raced() bool { return os.Getenv("POSTROAD_TEST_RACE") == "1" }

func buildBinary() (string, error) {
	if path := os.Getenv("POSTROAD_TEST_BINARY"); path != "" {
		return path, nil
	}
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("postroad-test-%d-%x", os.Getuid(), sha256.Sum256([]byte(root)))[:40])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("wait for the other test's build: %w", err)
	}
	path, args, cgo := filepath.Join(dir, "postroad"), []string{"build"}, "0"
	if Raced() {
		path, args, cgo = path+"-race", append(args, "-race"), "1"
	}
	cmd := exec.Command("go", append(args, "-o", path, "./cmd/postroad")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build postroad: %w\n%s", err, out)
	}
	return path, nil
}

// ModuleRoot is the directory of go.mod above the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
