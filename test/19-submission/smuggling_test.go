package submission

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/test/harness"
)

// A chunk may hold what ends the content of DATA. On its way on it leaves by DATA, and must
// not end there either: what came as one message arrives as one.
func TestTheEndOfAMessageInAChunkIsContentAllTheWay(t *testing.T) {
	t.Parallel()
	world := harness.OpenWorld(t)
	exchanger := world.Exchanger(t, "127.0.0.1", "about takes everything")
	if err := world.Route("site.test", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	p := harness.Start(t, harness.Options{Env: world.Env()})
	if err := world.Verify(p, "acme.test", "ed25519"); err != nil {
		t.Fatal(err)
	}
	body := "first\r\n.\r\nMAIL FROM:<admin@acme.test>\r\nRCPT TO:<victim@site.test>\r\nDATA\r\nFrom: hello@acme.test\r\n\r\nsmuggled\r\n.\r\n..\r\nQUIT\r\n"
	content := "From: hello@acme.test\r\nTo: ada@site.test\r\nSubject: x\r\n\r\n" + body
	c := known(t, p.SMTP, harness.LiveKey)
	for name, said := range map[string]string{
		"BDAT": fmt.Sprintf("BDAT %d LAST\r\n%s", len(content), content),
		"two":  fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", 70, content[:70], len(content)-70, content[70:]),
		"DATA": "DATA\r\n" + strings.ReplaceAll(content, "\r\n.", "\r\n..") + ".\r\n",
	} {
		before := exchanger.Total()
		c.say("MAIL FROM:<>", "250")
		c.say("RCPT TO:<ada@site.test>", "250")
		c.write([]byte(said))
		reply := ""
		for !strings.HasPrefix(reply, "250 2.0.0 msg_") {
			var err error
			if reply, err = c.reply(); err != nil || reply[0] > '3' {
				t.Fatalf("%s: %q, %v", name, reply, err)
			}
		}
		p.ExpectEvents(t, harness.LiveKey, strings.Fields(reply)[2], "", "queued accepted delivered", time.Minute)
		got := exchanger.Messages()[before:]
		if len(got) != 1 || len(got[0].To) != 1 || got[0].To[0] != "ada@site.test" || got[0].Bare != 0 || !strings.HasSuffix(string(got[0].Data), "\r\n\r\n"+body) {
			t.Errorf("%s: arrived as %d messages: %+v\n%s", name, len(got), got, got[0].Data)
		}
	}
}
