package contract

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/httpapi/reference"
	"github.com/postroad/postroad/test/harness"
)

// A linter that others wrote reads the document; ours is in tools/openapi.
func TestRedoclyFindsNoErrorsInTheDocument(t *testing.T) {
	t.Parallel()
	modules := harness.NodeModules(t, ".")
	dir := t.TempDir()
	for name, text := range map[string][]byte{"openapi.json": reference.JSON(), "redocly.yaml": []byte("extends: [recommended]\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "node", filepath.Join(modules, "node_modules", "@redocly", "cli", "bin", "cli.js"), "lint", "openapi.json", "--config", "redocly.yaml")
	c.Dir = dir
	c.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "is valid") {
		t.Errorf("%v\n%.4000s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
}
