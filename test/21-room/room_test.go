//go:build linux

package room

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

const (
	disk     = 96 << 20
	ballast  = 32 << 20 // what somebody else removes at the end
	floor    = 20 << 20
	patience = 60 * time.Second
)

// promises are the messages that were answered 202, with a word of each one's text.
type promises struct {
	mu   sync.Mutex
	word map[string]string
}

func (k *promises) keep(id, word string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.word[id] = word
}

// noise is text that nothing makes smaller than half of it.
func noise(octets int) string {
	b := make([]byte, octets/2)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func letter(size int) (fields map[string]any, word string) {
	word = noise(40)
	return map[string]any{"from": "hello@sandbox.test", "recipient": "ada@customer.test", "subject": "Full", "text": word + "\n" + noise(size)}, word
}

// fill sends on some connections until each was told "not now", and gives these answers. It
// does so at a pace at which the floor is more than what comes between two looks at the disk.
func fill(t *testing.T, p *harness.Postroad, kept *promises, size int) []harness.Answer {
	t.Helper()
	const connections = 2
	last := make([]harness.Answer, connections)
	var senders sync.WaitGroup
	for n := range connections {
		senders.Go(func() {
			for range disk / size * 4 {
				fields, word := letter(size)
				a, err := p.Do("POST", "/v1/messages", harness.TestKey, fields)
				if err != nil {
					t.Errorf("while the disk fills: %v", err)
					return
				}
				if a.Status != http.StatusAccepted {
					last[n] = a
					return
				}
				var out struct {
					ID string `json:"message_id"`
				}
				if err := json.Unmarshal(a.Body, &out); err != nil {
					t.Error(err)
				}
				kept.keep(out.ID, word)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	senders.Wait()
	return last
}

// refusal looks at a "not now".
func refusal(t *testing.T, what string, a harness.Answer) {
	t.Helper()
	var out struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(a.Body, &out)
	if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); a.Status != 503 || out.Code != "storage_unavailable" || err != nil || seconds < 1 {
		t.Errorf("%s: status %d, code %q, Retry-After %q: %.300s", what, a.Status, out.Code, a.Header.Get("Retry-After"), a.Body)
	}
}

// stuff appends to a file, until so much more is in it or (0) nothing more fits: somebody else's log.
func stuff(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := make([]byte, 64<<10)
	for written := 0; len(piece) > 0 && (size == 0 || written < size); {
		n, err := f.Write(piece)
		if written += n; errors.Is(err, syscall.ENOSPC) {
			piece = piece[:len(piece)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// honour waits until each promised message is delivered, once, and finds its text.
func honour(t *testing.T, p *harness.Postroad, kept *promises) {
	t.Helper()
	end := time.Now().Add(patience)
	for id, word := range kept.word {
		for p.Status(t, harness.TestKey, id) != "delivered" {
			if time.Now().After(end) {
				t.Fatalf("%s is %s", id, p.Status(t, harness.TestKey, id))
			}
			time.Sleep(20 * time.Millisecond)
		}
		types := ""
		for _, e := range p.Events(t, harness.TestKey, id) {
			types += strings.TrimPrefix(e.Type, "message.") + " "
		}
		if types != "queued accepted delivered " {
			t.Errorf("%s: %s", id, types)
		}
		if raw := p.Must(t, 200, "GET", "/v1/messages/"+id+"/raw", harness.TestKey, nil).Body; !bytes.Contains(raw, []byte(word)) {
			t.Errorf("%s has lost its content", id)
		}
	}
}

func awaitSending(t *testing.T, p *harness.Postroad, kept *promises) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		fields, word := letter(1000)
		a := p.Call(t, "POST", "/v1/messages", harness.TestKey, fields)
		if a.Status == http.StatusAccepted {
			kept.keep(a.Text(t, "message_id"), word)
			return
		}
		if refusal(t, "while there is room again", a); time.Now().After(end) {
			t.Fatal("there is room again, and no mail is taken in")
		}
	}
}

func TestAFullDiskIsToldOfInTimeAndLosesNothing(t *testing.T) {
	if !apart(t) {
		return
	}
	dir := mount(t, strconv.Itoa(disk))
	other, log := filepath.Join(dir, "other"), filepath.Join(dir, "somebody-elses.log")
	stuff(t, other, ballast)
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_DATA_DIR": filepath.Join(dir, "data"), "POSTROAD_DISK_FLOOR": "20MB"}})
	kept, late := &promises{word: map[string]string{}}, &promises{word: map[string]string{}}
	began := time.Now()
	for range 5 { // their servers answer when the disk is full
		fields, word := letter(1000)
		fields["recipient"] = "slow+8s@sandbox.test"
		late.keep(p.Send(t, harness.TestKey, fields), word)
	}

	for _, a := range fill(t, p, kept, 100<<10) {
		refusal(t, "short of disk", a)
	}
	left := free(t, dir)
	if left <= 0 || len(kept.word) < 50 {
		t.Errorf("refused with %d bytes free, %d messages accepted", left, len(kept.word))
	}
	if rest := left - floor/2; rest > 0 { // so that tidying up does not end it
		stuff(t, log, int(rest))
	}
	until(t, "/readyz says that the disk is short", func() bool {
		a := p.Call(t, "GET", "/readyz", "", nil)
		return a.Status == 503 && strings.Contains(string(a.Body), "disk")
	})
	p.Must(t, 201, "POST", "/v1/suppressions", harness.TestKey, map[string]any{"recipient": "x@y.test", "reason": "manual"}) // the floor is there for that
	honour(t, p, kept)                                                                                                       // and for what was promised
	t.Logf("after %v: %d messages; refused with %d MB free", time.Since(began), len(kept.word), left>>20)

	stuff(t, log, 0)
	fields, _ := letter(1000)
	refusal(t, "a send on a full disk", p.Call(t, "POST", "/v1/messages", harness.TestKey, fields))
	refusal(t, "a change on a full disk", p.Call(t, "POST", "/v1/templates", harness.TestKey, map[string]any{"alias": "t", "name": "T", "subject": "S", "text": noise(200_000)}))
	p.Must(t, 200, "GET", "/v1/messages", harness.TestKey, nil)
	time.Sleep(time.Until(began.Add(9 * time.Second))) // what the late ones answered cannot be recorded
	remove(t, other, log)
	awaitSending(t, p, kept)
	honour(t, p, late)

	stuff(t, log, 0)
	p.Kill() // and what it left is whole
	remove(t, log)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitSending(t, p, kept)
	honour(t, p, kept)
	honour(t, p, late)
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v it is not so that %s", patience, what)
		}
	}
}
