package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
)

// Migration is one numbered step of a schema. Engines keep files of the same numbers.
type Migration struct {
	Version int
	Name    string
	SQL     string
	Sum     string // SHA-256 of the file: a step that was applied is never edited
}

// Migrations reads the steps of an engine, NNNN_name.sql in one directory, in order.
// Their numbers count from 1 without a gap.
func Migrations(files fs.FS, dir string) ([]Migration, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var all []Migration
	for _, e := range entries {
		m, err := readMigration(files, dir, e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Version < all[j].Version })
	for i, m := range all {
		if m.Version != i+1 {
			return nil, fmt.Errorf("migration %s: its number should be %d", m.Name, i+1)
		}
	}
	return all, nil
}

func readMigration(files fs.FS, dir, file string) (Migration, error) {
	number, name, ok := strings.Cut(strings.TrimSuffix(file, ".sql"), "_")
	version, err := strconv.Atoi(number)
	if !ok || err != nil {
		return Migration{}, fmt.Errorf("migration %q is not named NNNN_name.sql", file)
	}
	text, err := fs.ReadFile(files, path.Join(dir, file))
	if err != nil {
		return Migration{}, fmt.Errorf("read migration: %w", err)
	}
	sum := sha256.Sum256(text)
	return Migration{Version: version, Name: name, SQL: string(text), Sum: hex.EncodeToString(sum[:])}, nil
}
