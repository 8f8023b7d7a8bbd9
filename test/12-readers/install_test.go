package readers

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

// installWithin bounds how long npm may take.
const installWithin = 3 * time.Minute

// installed gives the directory mailparser stands in, as package-lock.json says, and
// installs it when this lock was never installed here. Where that cannot be done the test
// is skipped.
func installed(t *testing.T) string {
	t.Helper()
	const how = "to have it: install node and npm, and let npm reach its registry once"
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: mailparser is not asked; %s", program, how)
		}
	}
	dir, err := cacheOf("package.json", "package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return dir
	}
	if out, err := install(t.Context(), dir); err != nil {
		t.Skipf("npm ci: %v: mailparser is not asked; %s\n%s", err, how, out)
	}
	return dir
}

// cacheOf is a directory of its own for each content of these files.
func cacheOf(names ...string) (string, error) {
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
	return filepath.Join(cache, "postroad-test", fmt.Sprintf("readers-%x", sum.Sum(nil)[:8])), nil
}

// install works beside dir and moves what is whole to its place: another test may do the
// same at the same time.
func install(ctx context.Context, dir string) ([]byte, error) {
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
	ctx, cancel := context.WithTimeout(ctx, installWithin)
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
