package harness

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// npmWithin bounds how long npm may take.
const npmWithin = 3 * time.Minute

// npmFiles say what is installed.
var npmFiles = []string{"package.json", "package-lock.json"}

// NodeModules gives a directory with the node_modules that the package.json and
// package-lock.json in dir ask for, and installs them when these were never installed on
// this machine. Where that cannot be done the test is skipped, with a line that says how
// to have them.
func NodeModules(t testing.TB, dir string) string {
	t.Helper()
	const how = "to have them: install node and npm, and let npm reach its registry once"
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed, so its packages are not asked; %s", program, how)
		}
	}
	cache, err := npmCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cache, "node_modules")); err == nil {
		return cache
	}
	if out, err := npmInstall(t.Context(), dir, cache); err != nil {
		t.Skipf("npm ci: %v: its packages are not asked; %s\n%s", err, how, out)
	}
	return cache
}

// npmCache is a directory of its own for each content of these files.
func npmCache(dir string) (string, error) {
	sum := sha256.New()
	for _, name := range npmFiles {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "postroad-test", fmt.Sprintf("npm-%x", sum.Sum(nil)[:8])), nil
}

// npmInstall works beside the cache and moves what is whole to its place: another test may
// do the same at the same time.
func npmInstall(ctx context.Context, dir, cache string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(cache), 0o700); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(cache), "installing-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	for _, name := range npmFiles {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(work, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, npmWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return out, err
	}
	if err := os.Rename(work, cache); err != nil {
		if _, there := os.Stat(filepath.Join(cache, "node_modules")); there != nil {
			return nil, err
		}
	}
	return nil, nil
}
