package webhooks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postroad/postroad/internal/webhook"
	"github.com/postroad/postroad/test/harness"
)

const wrongSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestTheOfficialGoLibraryVerifiesOurHooks(t *testing.T) {
	t.Parallel()
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ALLOW_NETWORKS": network}})
	r := receive(t, "127.1.0.1", nil)
	id, first := endpoint(t, p, map[string]any{"url": r.URL, "events": []string{"*"}})
	p.Send(t, harness.TestKey, message())
	r.await(t, 3, 10*time.Second)
	second := p.Must(t, http.StatusOK, "POST", "/v1/webhooks/"+id+"/rotate-secret", harness.TestKey, map[string]any{"overlap_hours": 24}).Text(t, "secret")
	p.Send(t, harness.TestKey, message())
	r.await(t, 6, 10*time.Second)
	for i, h := range r.all() {
		rotated := i >= 3
		for secret, want := range map[string]bool{first: true, second: rotated, wrongSecret: false} {
			if err := verify(t, secret, h.body, h.header); (err == nil) != want {
				t.Errorf("hook %d (%s): %v, want %t", i, h.Type, err, want)
			}
		}
		changed := bytes.Clone(h.body)
		changed[len(changed)/2] ^= 1
		if err := verify(t, first, changed, h.header); !errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
			t.Errorf("hook %d (%s), with a changed byte: %v", i, h.Type, err)
		}
		// Signed as well as the rest, but six minutes ago: its age alone is what is wrong.
		old, at := h.header.Clone(), time.Now().Add(-6*time.Minute)
		old.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
		old.Set("webhook-signature", webhook.Signature(h.ID, at, h.body, first))
		if err := verify(t, first, h.body, old); !errors.Is(err, standardwebhooks.ErrMessageTooOld) {
			t.Errorf("hook %d (%s), six minutes old: %v", i, h.Type, err)
		}
	}
	if len(r.odd) > 0 {
		t.Error(r.odd)
	}
	t.Logf("%d hooks verified with each secret that signs, refused changed, old and with another", len(r.all()))
}

func verify(t *testing.T, secret string, body []byte, h http.Header) error {
	t.Helper()
	judge, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return judge.Verify(body, h)
}

// said is what npm's library made of one request: "" where it verified.
type said struct {
	ID, Type                                                                    string
	AsIs, Changed, Reserialised, WrongSecret, SixMinutesLater, FourMinutesLater string
}

func TestTheOfficialNPMLibraryVerifiesOurHooks(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("node_receiver.cjs")
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", script, "127.1.0.2", wrongSecret)
	node.Dir = harness.NodeModules(t, ".")
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var trouble bytes.Buffer
	node.Stderr = &trouble
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), node.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Skipf("node cannot listen at 127.1.0.2: %s", trouble.String())
	}
	p := harness.Start(t, harness.Options{Env: map[string]string{"POSTROAD_ALLOW_NETWORKS": network}})
	_, secret := endpoint(t, p, map[string]any{"url": "http://127.1.0.2:" + strings.TrimSpace(lines.Text()) + "/hooks", "events": []string{"message.*"}})
	if _, err := in.Write([]byte(secret + "\n")); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() { // it knows the secret
		t.Fatalf("the receiver ended: %s", trouble.String())
	}
	p.Send(t, harness.TestKey, message())
	for i := range 3 {
		if !lines.Scan() {
			t.Fatalf("the receiver ended: %s", trouble.String())
		}
		var s said
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if s.AsIs != "" || s.FourMinutesLater != "" {
			t.Errorf("hook %d was refused: %+v", i, s)
		}
		if s.Changed == "" || s.Reserialised == "" || s.WrongSecret == "" || s.SixMinutesLater == "" {
			t.Errorf("hook %d was accepted when it must not be: %+v", i, s)
		}
		t.Logf("%s: changed: %s; six minutes later: %s", s.Type, s.Changed, s.SixMinutesLater)
	}
}
