package main

import (
	"bytes"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// checkFormat wants every Go file as gofmt writes it.
func checkFormat(options) error {
	var wrong []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "data") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		have, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		want, err := format.Source(have)
		if err != nil || !bytes.Equal(have, want) {
			wrong = append(wrong, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		fmt.Println(strings.Join(wrong, "\n"))
		return fmt.Errorf("not as gofmt writes it: %d files (gofmt -w .)", len(wrong))
	}
	return nil
}
