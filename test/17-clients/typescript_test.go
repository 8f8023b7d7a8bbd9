package clients

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// Bounds on npm and on the tests in Node; only a fault reaches them.
const (
	installWithin = 3 * time.Minute
	nodeWithin    = 2 * time.Minute
)

const howNode = "to have it: install nodejs (20 or newer) and npm, and let npm reach its registry once (go run ./tools/check does that on Debian)"

// built is a copy of the TypeScript package, compiled as it is published, with its tests
// and the blocks of its README.
func built(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: the TypeScript client is not tested; %s", program, howNode)
		}
	}
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	source, dir := filepath.Join(root, "clients", "typescript"), t.TempDir()
	modules := installed(t, source)
	for _, name := range []string{"package.json", "tsconfig.json", "tsconfig.test.json", "README.md", "src", "test"} {
		if err := copyTree(filepath.Join(source, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// installed gives the node_modules of this lock file; they are installed once per user.
func installed(t *testing.T, source string) string {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "postroad-test", fmt.Sprintf("typescript-%x", sha256.Sum256(lock))[:27])
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	if out, err := install(t.Context(), source, dir); err != nil {
		t.Skipf("npm ci: %v: the TypeScript client is not tested; %s\n%s", err, howNode, out)
	}
	return modules
}

// install works beside dir and moves what is whole to its place: another test may do the
// same at the same time.
func install(ctx context.Context, source, dir string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := copyTree(filepath.Join(source, name), filepath.Join(work, name)); err != nil {
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

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, below)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
}

// node runs a program in dir and gives what it printed.
func node(t *testing.T, dir string, environ []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), nodeWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "POSTROAD_") && !strings.HasPrefix(pair, "NODE_OPTIONS=") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, environ...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var blocks = regexp.MustCompile("(?ms)^```ts\n(.*?)^```$")

// readme makes a module of every block of code in a document, and gives their names.
func readme(t *testing.T, dir, document, name string) (files []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range blocks.FindAllSubmatch(text, -1) {
		file := fmt.Sprintf("%s%02d", name, i+1)
		code := string(block[1])
		if !strings.Contains(code, "export ") && !strings.Contains(code, "import ") {
			code += "export {};\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "test", file+".ts"), []byte(code), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) < 3 {
		t.Fatalf("%s has %d blocks of code", document, len(files))
	}
	return files
}

func TestTheTypeScriptClientAgainstTheBinary(t *testing.T) {
	t.Parallel()
	dir := built(t)
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	examples := readme(t, dir, filepath.Join(dir, "README.md"), "readme")
	examples = append(examples, readme(t, dir, filepath.Join(root, "docs", "clients.md"), "guide")...)
	tsc := filepath.Join("node_modules", "typescript", "bin", "tsc")
	for _, project := range []string{"tsconfig.json", "tsconfig.test.json"} {
		if out, err := node(t, dir, nil, "node", tsc, "-p", project); err != nil {
			t.Fatalf("tsc -p %s: %v\n%s", project, err, out)
		}
	}
	t.Run("memory", func(t *testing.T) { typeScriptsMemory(t, dir) })
	w := harness.OpenWorld(t)
	p := harness.Start(t, harness.Options{Env: w.Env()})
	environ := []string{"POSTROAD_BASE_URL=" + p.URL, "POSTROAD_API_KEY=" + harness.TestKey, "POSTROAD_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	t.Run("tests", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(dir, "build", "test", "*.test.js"))
		if err != nil || len(files) < 5 {
			t.Fatalf("%v %v", files, err)
		}
		out, err := node(t, dir, environ, "node", append([]string{"--test", "--test-reporter=tap"}, files...)...)
		if err != nil || !strings.Contains(out, "\n# skipped 0\n") {
			t.Fatalf("%v\n%s", err, out)
		}
		version, _ := node(t, dir, nil, "node", "--version")
		t.Logf("node %s: %s", strings.TrimSpace(version), strings.Join(counts(out), ", "))
	})
	t.Run("examples", func(t *testing.T) {
		for _, example := range examples {
			if out, err := node(t, dir, environ, "node", filepath.Join("build", "test", example+".js")); err != nil {
				t.Errorf("%s: %v\n%s", example, err, out)
			}
		}
		t.Logf("%d blocks of code run", len(examples))
	})
}

// counts are the last lines of node's report.
func counts(out string) (all []string) {
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok && slices.Contains([]string{"tests", "pass", "fail", "skipped"}, strings.Fields(text + " x")[0]) {
			all = append(all, text)
		}
	}
	return all
}

// The package takes nothing else in, and asks for the Node it is tested on.
func TestTheTypeScriptPackageHasNoDependencies(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "clients", "typescript", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); strings.Contains(s, `"dependencies"`) || strings.Contains(s, `"peerDependencies"`) || !strings.Contains(s, `"node": ">=20"`) {
		t.Error("package.json names dependencies, or another Node")
	}
	err = filepath.WalkDir(filepath.Join(root, "clients", "typescript", "src"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		source, err := os.ReadFile(name)
		for _, m := range regexp.MustCompile(`(?m)from '([^']+)'`).FindAllStringSubmatch(string(source), -1) {
			if !strings.HasPrefix(m[1], "./") && !strings.Contains(string(source), "```") {
				t.Errorf("%s imports %s", name, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
