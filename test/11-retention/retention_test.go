package retention

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/test/harness"
)

// token is a word that stands nowhere else.
func token() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return "tok" + hex.EncodeToString(b[:])
}

// letter is a message whose content has a token.
type letter struct {
	kind, token, id, to string
	key                 string // of its content, "" for one in a file
	fields              map[string]any
}

// word is what can be searched for: who has it can read the content. In the database that
// is the key, in a file of its own the content is plain.
func (l *letter) word() string { return cmp.Or(l.key, l.token) }

// learnKeys reads the contents' keys out of a database, and sees that they are the keys.
func learnKeys(t *testing.T, database []byte, all ...*letter) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, database, 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, l := range all {
		if l.kind == "large" {
			continue
		}
		id, err := mail.ParseID(mail.PrefixMessage, l.id)
		if err != nil {
			t.Fatal(err)
		}
		var key, sealed []byte
		err = sqlitex.Execute(conn, `SELECT key, bytes FROM messages JOIN bodies ON message = row JOIN body_keys USING (message) WHERE id = ?`,
			&sqlitex.ExecOptions{Args: []any{id[:]}, ResultFunc: func(q *sqlite.Stmt) error {
				key, sealed = make([]byte, q.ColumnLen(0)), make([]byte, q.ColumnLen(1))
				q.ColumnBytes(0, key)
				q.ColumnBytes(1, sealed)
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(sealed, sealed)
		if holders(unpacked(map[string][]byte{"x": sealed}), l.token) == nil {
			t.Fatalf("a %s content is not what the key opens", l.kind)
		}
		l.key = string(key)
	}
}

// letters are one message of each way a content is stored: small, as it is; larger,
// compressed; large, compressed in a file of its own.
func letters() []*letter {
	text := func(size int, token string) string {
		var b strings.Builder
		for n := 0; b.Len() < size; n++ {
			fmt.Fprintf(&b, "Line %d of what is said to nobody else.\r\n", n)
			if n == 20 {
				b.WriteString(token + "\r\n")
			}
		}
		return b.String() + token + "\r\n"
	}
	var all []*letter
	for kind, size := range map[string]int{"small": 300, "compressed": 40_000, "large": 500_000} {
		l := &letter{kind: kind, token: token()}
		l.fields = map[string]any{"text": text(size, l.token)}
		if kind == "large" { // random bytes do not compress: it is large in its file too
			noise := make([]byte, 400_000)
			_, _ = rand.Read(noise)
			l.fields["attachments"] = []any{map[string]any{"filename": "x.bin", "content": base64.StdEncoding.EncodeToString(noise)}}
		}
		all = append(all, l)
	}
	return all
}

func (l *letter) send(t *testing.T, p *harness.Postroad, to string, more ...any) {
	t.Helper()
	l.fields["from"], l.fields["recipient"], l.fields["subject"] = "hello@acme.test", to, "Of kind "+l.kind
	for i := 0; i+1 < len(more); i += 2 {
		l.fields[more[i].(string)] = more[i+1]
	}
	l.id = p.Send(t, harness.TestKey, l.fields)
}

// readFiles gives all regular files below a directory, and below them what can be unpacked.
func readFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files[path] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return unpacked(files)
}

// readBackup gives the files of a backup, and the backup as it is.
func readBackup(t *testing.T, path string) map[string][]byte {
	t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{path: packed}
	plain, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files["backup:"+h.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
	if files["backup:postroad.db"] == nil || files["backup:secret.key"] == nil {
		t.Fatal("the backup lacks the database or the keys")
	}
	return unpacked(files)
}

var frame = []byte{0x28, 0xb5, 0x2f, 0xfd} // a zstd frame begins so (RFC 8878 §3.1.1)

// unpacked adds what is inside of any zstd frame of the files, also of one that lies in the
// middle of a file and has no end there.
func unpacked(files map[string][]byte) map[string][]byte {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err)
	}
	defer decoder.Close()
	inside := map[string][]byte{}
	for name, text := range files {
		var all []byte
		for at := bytes.Index(text, frame); at >= 0; {
			if err := decoder.Reset(bytes.NewReader(text[at:min(len(text), at+1<<20)])); err == nil {
				plain, _ := io.ReadAll(io.LimitReader(decoder, 1<<20)) // as far as it goes
				all = append(append(all, plain...), 0)
			}
			next := bytes.Index(text[at+1:], frame)
			if next < 0 {
				break
			}
			at += 1 + next
		}
		if all != nil {
			inside[name+" (packed)"] = all
		}
	}
	maps.Copy(files, inside)
	return files
}

// holders names the files that have a word.
func holders(files map[string][]byte, word string) (found []string) {
	for name, text := range files {
		if bytes.Contains(text, []byte(word)) {
			found = append(found, filepath.Base(name))
		}
	}
	return found
}

// around shows where a word stands.
func around(files map[string][]byte, word string) (found []string) {
	for _, text := range files {
		if at := bytes.Index(text, []byte(word)); at >= 0 {
			found = append(found, strconv.QuoteToASCII(string(text[max(0, at-80):min(len(text), at+100)])))
		}
	}
	return found
}

// run runs a command of the binary on the data of a server.
func run(t *testing.T, p *harness.Postroad, args ...string) (string, error) {
	t.Helper()
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), "POSTROAD_DATA_DIR="+filepath.Join(p.Dir, "data"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustRun(t *testing.T, p *harness.Postroad, args ...string) string {
	t.Helper()
	out, err := run(t, p, args...)
	if err != nil {
		t.Fatalf("postroad %v: %v\n%s", args, err, out)
	}
	return out
}

// eventually waits for something that happens in the background.
func eventually(t *testing.T, within time.Duration, says string, is func() string) {
	t.Helper()
	for end := time.Now().Add(max(within, harness.Patience)); ; time.Sleep(100 * time.Millisecond) {
		wrong := is()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s", says, wrong)
		}
	}
}

const anyEvents = "queued accepted delivered"

func TestAfterRetentionNothingOfAContentIsLeft(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	data := filepath.Join(p.Dir, "data")
	forgotten, kept, later := letters(), letters(), letters()
	for n := range forgotten {
		kept[n].send(t, p, "ada@sandbox.test")
		forgotten[n].send(t, p, "bob@sandbox.test", "content_retention_seconds", 8)
		later[n].send(t, p, "cy@sandbox.test") // its project's setting will be lowered
	}
	for _, list := range [][]*letter{forgotten, kept, later} {
		for _, l := range list {
			p.ExpectEvents(t, harness.TestKey, l.id, "", anyEvents, 15*time.Second)
		}
	}

	// While they are kept they are found: this test looks in the right way and places.
	mustRun(t, p, "backup", filepath.Join(p.Dir, "before.backup"))
	before, backup := readFiles(t, data), readBackup(t, filepath.Join(p.Dir, "before.backup"))
	learnKeys(t, backup["backup:postroad.db"], slices.Concat(forgotten, kept, later)...)
	for _, l := range append(forgotten, kept...) {
		p.Must(t, 200, "GET", "/v1/messages/"+l.id+"/raw", harness.TestKey, nil)
		if holders(before, l.word()) == nil || holders(backup, l.word()) == nil {
			t.Fatalf("a %s content is not found while it is kept: on disk in %v, in the backup in %v", l.kind, holders(before, l.word()), holders(backup, l.word()))
		}
	}

	eventually(t, 45*time.Second, "contents with a time of their own", func() string {
		files := readFiles(t, data)
		for _, l := range forgotten {
			if found := holders(files, l.word()); found != nil {
				return fmt.Sprintf("a %s one is in %v", l.kind, found)
			}
		}
		return ""
	})
	mustRun(t, p, "backup", filepath.Join(p.Dir, "after.backup"))
	after, backup := readFiles(t, data), readBackup(t, filepath.Join(p.Dir, "after.backup"))
	for _, l := range forgotten {
		if found := slices.Concat(holders(after, l.word()), holders(backup, l.word()), holders(after, l.token)); found != nil {
			t.Errorf("a %s content is in %v", l.kind, found)
		}
		for _, part := range []string{"/raw", "/content"} {
			if a := p.Must(t, 404, "GET", "/v1/messages/"+l.id+part, harness.TestKey, nil); a.Text(t, "code") != "content_expired" {
				t.Errorf("%s: %s", part, a.Body)
			}
		}
		p.ExpectEvents(t, harness.TestKey, l.id, "", anyEvents, time.Second) // the story stays
	}
	for _, l := range append(kept, later...) {
		p.Must(t, 200, "GET", "/v1/messages/"+l.id+"/raw", harness.TestKey, nil)
		if holders(after, l.word()) == nil || holders(backup, l.word()) == nil {
			t.Errorf("a %s content that is to be kept is gone", l.kind)
		}
	}

	p.Must(t, 200, "PATCH", "/v1/project", harness.TestKey, map[string]any{"content_retention_days": 0})
	eventually(t, 45*time.Second, "contents of a project that keeps none", func() string {
		files := readFiles(t, data)
		for _, l := range append(kept, later...) {
			if found := holders(files, l.word()); found != nil {
				return fmt.Sprintf("a %s one is in %v", l.kind, found)
			}
		}
		return ""
	})
	mustRun(t, p, "backup", filepath.Join(p.Dir, "end.backup"))
	backup = readBackup(t, filepath.Join(p.Dir, "end.backup"))
	for _, l := range append(kept, later...) {
		if found := holders(backup, l.word()); found != nil {
			t.Errorf("a %s content is in the last backup's %v", l.kind, found)
		}
	}
	bodies, _ := filepath.Glob(filepath.Join(data, "bodies", "*", "*"))
	t.Logf("9 contents in 3 forms, searched in %d files and 3 backups; %d files of contents are left", len(readFiles(t, data)), len(bodies))
	if len(bodies) != 0 {
		t.Errorf("files are left: %v", bodies)
	}
}

func TestAfterAnErasureNothingOfTheAddressIsLeft(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	data, who := filepath.Join(p.Dir, "data"), token()
	var all []*letter
	for _, to := range []string{who + "@sandbox.test", strings.ToUpper(who) + " <" + strings.ToUpper(who) + "@sandbox.test>", "tom@sandbox.test"} {
		for _, l := range letters() {
			more := []any{"metadata", map[string]any{"user": who}, "idempotency_key", fmt.Sprintf("welcome/%s/%s@sandbox.test/%s", l.kind, who, to[:1]), "headers", map[string]any{"X-User": who}}
			if to == "tom@sandbox.test" {
				more = []any{"cc", "Somebody <" + who + "@sandbox.test>"}
			}
			l.send(t, p, to, more...)
			l.to = who + "@sandbox.test"
			if strings.HasPrefix(to, strings.ToUpper(who)) {
				l.to = strings.ToUpper(who) + "@sandbox.test"
			}
			all = append(all, l)
		}
	}
	waits := &letter{kind: "scheduled", token: token(), fields: map[string]any{"text": "later"}}
	waits.send(t, p, who+"@sandbox.test", "scheduled_time", time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "supersedes", "otp/"+who)
	other := &letter{kind: "other", token: token()}
	other.fields = map[string]any{"text": other.token}
	other.send(t, p, "somebody-else@sandbox.test")
	for _, l := range all {
		p.ExpectEvents(t, harness.TestKey, l.id, l.to, anyEvents, 15*time.Second)
	}
	if holders(readFiles(t, data), who) == nil {
		t.Fatal("the address is not found before: this test looks in the wrong way")
	}
	a := p.Must(t, 202, "POST", "/v1/erasures", harness.TestKey, map[string]any{"recipient": who + "@sandbox.test"})
	self := a.Header.Get("Location")
	eventually(t, 30*time.Second, "the erasure", func() string {
		if a = p.Must(t, 200, "GET", self, harness.TestKey, nil); a.Text(t, "status") != "done" {
			return string(a.Body)
		}
		return ""
	})
	counts, _ := a.Fields(t)["counts"].(map[string]any)
	if counts["deliveries"] != 10.0 || counts["cancelled"] != 1.0 || counts["contents"] != 10.0 {
		t.Errorf("counts: %v", counts)
	}
	search := func(files map[string][]byte) string {
		if found := append(holders(files, who), holders(files, strings.ToUpper(who))...); found != nil {
			return fmt.Sprintf("the address is in %v: %v", found, append(around(files, who), around(files, strings.ToUpper(who))...))
		}
		return ""
	}
	eventually(t, 30*time.Second, "the disk", func() string { return search(readFiles(t, data)) })
	mustRun(t, p, "backup", filepath.Join(p.Dir, "erased.backup"))
	if wrong := search(readBackup(t, filepath.Join(p.Dir, "erased.backup"))); wrong != "" {
		t.Errorf("in a backup made afterwards %s", wrong)
	}
	p.Must(t, 200, "GET", "/v1/messages/"+other.id+"/raw", harness.TestKey, nil)
	p.ExpectEvents(t, harness.TestKey, waits.id, "", "scheduled cancelled", time.Second)
	p.ExpectEvents(t, harness.TestKey, all[0].id, a.Text(t, "token"), anyEvents, time.Second)
	p.ExpectEvents(t, harness.TestKey, all[8].id, "tom@sandbox.test", anyEvents, time.Second)
}

func TestABackupIsMadeWhileMailGoesOnAndIsRestored(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{})
	var all []*letter
	for range 4 {
		all = append(all, letters()...)
	}
	for _, l := range all {
		l.send(t, p, "ada@sandbox.test")
	}
	later := &letter{kind: "scheduled", fields: map[string]any{"text": "later"}}
	later.send(t, p, "ada@sandbox.test", "scheduled_time", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))

	stop, stopped := make(chan struct{}), make(chan int)
	go func() { // mail that comes in meanwhile
		n := 0
		defer func() { stopped <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			a, err := p.Do("POST", "/v1/messages", harness.TestKey, map[string]any{"from": "hello@acme.test", "recipient": "bob@sandbox.test", "subject": "x", "text": "y"})
			if err != nil || a.Status != 202 {
				t.Errorf("while a backup was made: %v, status %d", err, a.Status)
				return
			}
			n++
		}
	}()
	file := filepath.Join(p.Dir, "running.backup")
	out := mustRun(t, p, "backup", file)
	close(stop)
	t.Logf("%s; %d messages were accepted meanwhile", strings.TrimSpace(out), <-stopped)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: a backup has keys in it", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.Dir, "data", "copy-*")); left != nil {
		t.Errorf("%v is left", left)
	}
	if out, err := run(t, p, "restore", file); err == nil || !strings.Contains(out, "not empty") {
		t.Errorf("it was restored over a data directory in use: %v %s", err, out)
	}
	broken := filepath.Join(p.Dir, "broken.backup")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(broken, text[:len(text)-100], 0o600)
	}
	if _, stopErr := p.Stop(20 * time.Second); errors.Join(err, stopErr) != nil {
		t.Fatal(err, stopErr)
	}

	data := filepath.Join(p.Dir, "data")
	if err := os.Rename(data, data+".lost"); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, p, "restore", broken); err == nil || !strings.Contains(out, "not a whole backup") {
		t.Errorf("a broken backup was restored: %v %s", err, out)
	}
	mustRun(t, p, "restore", file)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		p.ExpectEvents(t, harness.TestKey, l.id, "", anyEvents, 15*time.Second)
		raw := p.Must(t, 200, "GET", "/v1/messages/"+l.id+"/raw", harness.TestKey, nil).Body
		if !bytes.Contains(raw, []byte(l.token)) {
			t.Errorf("a %s content came back without its token", l.kind)
		}
	}
	if status := p.Status(t, harness.TestKey, later.id); status != "scheduled" {
		t.Errorf("the scheduled message is %s", status)
	}
	if _, err := p.Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	mustRun(t, p, "backup", filepath.Join(p.Dir, "stopped.backup"))
	readBackup(t, filepath.Join(p.Dir, "stopped.backup"))
}
