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

// NodeModules gives a directory in which node finds what package.json and
// package-lock.json of the working directory ask for, and installs it when this lock was
// never installed here. Where that cannot be done the test is skipped.
func NodeModules(t testing.TB) string {
	t.Helper()
	const how = "to have them: install node and npm, and let npm reach its registry once"
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed, nor what package.json names; %s", program, how)
		}
	}
	dir, err := nodeCache("package.json", "package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return dir
	}
	if out, err := npmInstall(t.Context(), dir); err != nil {
		t.Skipf("npm ci: %v: what package.json names is not there; %s\n%s", err, how, out)
	}
	return dir
}

// nodeCache is a directory of its own for each content of these files.
func nodeCache(names ...string) (string, error) {
	sum := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "postroad-test", fmt.Sprintf("node-%x", sum.Sum(nil)[:8])), nil
}

// npmInstall works beside dir and moves what is whole to its place: another test may do the
// same at the same time.
func npmInstall(ctx context.Context, dir string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
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
	if err := os.Rename(work, dir); err != nil {
		if _, there := os.Stat(filepath.Join(dir, "node_modules")); there != nil {
			return nil, err
		}
	}
	return nil, nil
}
