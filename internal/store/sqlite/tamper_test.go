package sqlite_test

import (
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
