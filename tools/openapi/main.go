package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// Where the sources and the document stand, from the repository's root.
const (
	sourceDir = "internal/httpapi/reference/source"
	document  = "internal/httpapi/reference/openapi.json"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

// write joins the sources below root into the document.
func write(root string) error {
	doc, err := joinDir(filepath.Join(root, sourceDir))
	if err != nil {
		return err
	}
	text, err := encode(doc)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, document), text, 0o644)
}

// joinDir joins the sources of a directory.
func joinDir(dir string) (*object, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no sources in %s: %w", dir, err)
	}
	j := newJoiner()
	for _, name := range names { // Glob sorts them
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := j.add(text); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
	return j.finish()
}
