package reports

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/postroad/postroad/test/harness"
)

// A real Postfix says yes, finds nobody behind the address, and sends us its bounce.
func TestABounceOfARealPostfixIsRecorded(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	p := start(t, world)
	dir, err := os.MkdirTemp("", "postroad-test-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(p.Inbound, ":")
	fix, err := harness.StartPostfix(context.Background(), harness.PostfixOptions{Dir: dir, Listen: world.At("127.0.0.1"), Main: map[string]string{
		"virtual_mailbox_domains":         "site.test",
		"virtual_mailbox_maps":            "inline:{known@site.test=inbox/}",
		"virtual_mailbox_base":            dir,
		"virtual_uid_maps":                "static:65534", // nobody
		"virtual_gid_maps":                "static:65534",
		"smtpd_reject_unlisted_recipient": "no",
		"relayhost":                       "[" + host + "]:" + port,
		"mynetworks":                      "192.0.2.1/32", // we are a stranger to it
	}})
	if errors.Is(err, harness.ErrNoPostfix) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fix.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, p: p}
	id := p.Send(t, harness.LiveKey, map[string]any{"from": "Acme <hello@acme.test>", "to": []string{"nobody@site.test", "nemo@site.test"}, "subject": "Your order", "text": "Thank you."})
	for _, to := range []string{"nobody@site.test", "nemo@site.test"} {
		p.ExpectEvents(t, harness.LiveKey, id, to, "queued accepted delivered bounced", patience)
		s.suppressed(to, "hard_bounce")
	}
	if got := p.Status(t, harness.LiveKey, id); got != "bounced" {
		t.Errorf("the message is %s", got)
	}
}
