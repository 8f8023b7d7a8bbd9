package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	zombie "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// tamper runs SQL on a database that nobody has open.
func tamper(t testing.TB, dir, sql string) {
	t.Helper()
	conn, err := zombie.OpenConn(filepath.Join(dir, "postroad.db"), zombie.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := sqlitex.ExecuteScript(conn, sql, nil); err != nil {
		t.Fatal(err)
	}
}

// databaseSize is the size of the database without its log.
func databaseSize(t testing.TB, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "postroad.db"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
