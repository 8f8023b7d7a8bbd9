package smtpd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/smtpd"
)

// inner is a whole transaction that somebody put into a content, for a server that sees the
// end of the message before it. It stands in the text of a message, so it is not stuffed.
const inner = "MAIL FROM:<admin@acme.test>\r\nRCPT TO:<victim@customer.io>\r\nDATA\r\nFrom: hello@acme.test\r\n\r\nsmuggled\r\n.\r\n"

// told plays octets after AUTH and MAIL, RCPT, and reads all replies. DATA: with data set it
// waits for 354 before the octets.
func (h *house) told(t *testing.T, data bool, octets string) (replies []string) {
	t.Helper()
	c := h.known(liveKey)
	c.send("MAIL FROM:<>\r\nRCPT TO:<ada@customer.io>\r\n")
	c.want("250")
	c.want("250")
	if data {
		c.say("DATA", "354")
	}
	c.send(octets)
	_ = c.conn.(interface{ CloseWrite() error }).CloseWrite()
	for {
		reply, err := readReply(c.r)
		if err != nil {
			return replies
		}
		replies = append(replies, reply)
	}
}

// since gives the recipients of what was accepted after the first so many messages.
func (h *house) since(n int) (to []string) {
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	for _, a := range h.seen.accepted[n:] {
		for _, d := range a.Deliveries {
			to = append(to, d.Address)
		}
	}
	return to
}

// Every end of a line there is or somebody took for one, a dot or what looks like one, and an
// end again. Those of CVE-2023-51764 (Postfix: LF.CRLF, LF.LF, CRLF.LF), CVE-2023-51765
// (Sendmail: LF.CRLF, CRLF.LF and CR.CR), CVE-2023-51766 (Exim: LF.CRLF, CRLF.LF),
// CVE-2024-27305 (aiosmtpd: CR.CR, LF.LF and their mixtures), what Cisco made of CR.CR and
// CR.CRLF, and CRLF NUL.CRLF are among them.
func TestNoMessageIsSmuggledByAnEndThatOnlySomeServersSee(t *testing.T) {
	t.Parallel()
	ends := []string{"\r\n", "\n", "\r", "\r\r\n", "\r\r", "\n\n", "\n\r", "\r\n\r", "\r\n\n", "\n\r\n", "\r\n\x00", "\x00\r\n", "\n\x00", "\x00\n", "\r\x00\n", "\r \n", "\r\n ", " \r\n",
		"\x0b", "\x0c", "\xc2\x85", "\xe2\x80\xa8", "\x85", "\x8d\x8a"}
	dots := []string{".", "..", ". ", ".\t", "\x00.", ".\x00", "\xef\xbc\x8e", "\xae"}
	h := build(t, 0, nil)
	tried, whole, ended := 0, 0, 0
	for _, before := range ends {
		for _, dot := range dots {
			for _, after := range ends {
				between := before + dot + after
				if strings.Contains(between, "\r\n.\r\n") {
					continue // the end: what follows are commands
				}
				tried++
				n := h.seen.count()
				replies := h.told(t, true, "From: hello@acme.test\r\n\r\nfirst"+between+inner+"QUIT\r\n")
				to := h.since(n)
				switch got := strings.Join(to, " "); {
				case got == "ada@customer.io": // all of it was content
					whole++
					if text := h.stored(replies[0]); !strings.Contains(text, "MAIL FROM:<admin@acme.test>\r\n") || !strings.HasSuffix(text, "smuggled\r\n") {
						t.Errorf("%q: of the content this is left: %q", between, text)
					}
				case got == "" && len(replies) == 1:
					ended++
				case got == "" && len(replies) == 2 && strings.HasPrefix(replies[1], "221"):
				default:
					t.Fatalf("%q: accepted for %q, told %q", between, got, replies)
				}
				if len(replies) == 0 || len(to) == 0 && !strings.HasPrefix(replies[0], "550") {
					t.Errorf("%q: told %q", between, replies)
				}
			}
		}
	}
	t.Logf("%d sequences: %d are one message with all of it, %d end the conversation, the others are refused as content", tried, whole, ended)
	if whole == 0 || ended == 0 {
		t.Error("this proves nothing")
	}
	// The end itself, so that the rest means something.
	n := h.seen.count()
	h.told(t, true, "From: hello@acme.test\r\n\r\nfirst\r\n.\r\n"+inner)
	if got := strings.Join(h.since(n), " "); got != "ada@customer.io victim@customer.io" {
		t.Errorf("two messages one after the other: %q", got)
	}
}

// chunk is a BDAT command with its octets.
func chunk(content, last string) string {
	return fmt.Sprintf("BDAT %d%s\r\n%s", len(content), last, content)
}

// Where content ends and commands begin both sides must know alike, by whatever commands it
// comes. want are the recipients of what may be accepted.
func TestNoMessageIsSmuggledByCommands(t *testing.T) {
	t.Parallel()
	head := "From: hello@acme.test\r\n\r\n"
	long := strings.Repeat("x", 20_000)
	for name, c := range map[string]struct {
		said string
		want string
	}{
		"content behind a DATA that is refused":              {"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<nobody>\r\nDATA\r\n" + head + inner, ""},
		"content behind a DATA with an argument":             {"DATA now\r\n" + head + inner, ""},
		"content behind a DATA without MAIL":                 {"RSET\r\nDATA\r\n" + head + inner, ""},
		"DATA behind BDAT":                                   {chunk(head, "") + "DATA\r\n" + head + inner, ""},
		"BDAT in DATA":                                       {"DATA\r\n" + head + chunk("x", " LAST") + "\r\n" + inner, "ada@customer.io"},
		"the end of DATA in a chunk":                         {chunk(head+"first\r\n.\r\n"+inner, " LAST"), "ada@customer.io"},
		"the end of DATA between two chunks":                 {chunk(head+"first\r\n", "") + chunk(".\r\n"+inner, " LAST"), "ada@customer.io"},
		"the end of DATA cut by chunks":                      {chunk(head+"first\r", "") + chunk("\n.", "") + chunk("\r", "") + chunk("\n"+inner, " LAST"), "ada@customer.io"},
		"LF.LF in a chunk":                                   {chunk(head+"first\n.\n"+inner, " LAST"), ""},
		"LF.CRLF in a chunk":                                 {chunk(head+"first\n.\r\n"+inner, " LAST"), ""},
		"a chunk before MAIL":                                {"RSET\r\n" + chunk(inner, " LAST"), ""},
		"a chunk without a recipient":                        {"RSET\r\nMAIL FROM:<>\r\n" + chunk(inner, " LAST"), ""},
		"a chunk after the message":                          {chunk(head, " LAST") + chunk(inner, " LAST"), "ada@customer.io"},
		"a chunk after RSET":                                 {chunk(head, "") + "RSET\r\n" + chunk(inner, " LAST"), ""},
		"a chunk after EHLO":                                 {chunk(head, "") + "EHLO x\r\n" + chunk(inner, " LAST"), ""},
		"chunks after one that is too large":                 {"BDAT 60000000\r\n" + inner, ""},
		"a size below zero":                                  {"BDAT -5 LAST\r\n" + inner, ""},
		"a size with a sign":                                 {"BDAT +5 LAST\r\n" + inner, ""},
		"a size in hexadecimal":                              {"BDAT 0x5 LAST\r\n" + inner, ""},
		"a size with an exponent":                            {"BDAT 1e1 LAST\r\n" + inner, ""},
		"a size of 2^64":                                     {"BDAT 18446744073709551616 LAST\r\n" + inner, ""},
		"a size of 2^64 and a little":                        {"BDAT 18446744073709551621 LAST\r\n" + head + inner, ""},
		"a size of 2^32":                                     {"BDAT 4294967296 LAST\r\n" + inner, ""},
		"a size with a comma":                                {"BDAT 5,LAST\r\n" + inner, ""},
		"no size":                                            {"BDAT\r\n" + inner, ""},
		"no size but LAST":                                   {"BDAT LAST\r\n" + inner, ""},
		"LAST twice":                                         {"BDAT 5 LAST LAST\r\n" + inner, ""},
		"an odd size in a later chunk":                       {chunk(head, "") + "BDAT 5 LAST;\r\n" + inner, ""},
		"a size with zeros before it":                        {fmt.Sprintf("BDAT 000%d LAST\r\n%s", len(head+inner), head+inner), "ada@customer.io"},
		"LF behind DATA":                                     {"DATA\n" + head + inner, ""},
		"CR behind DATA":                                     {"DATA\r" + head + inner, ""},
		"LF behind BDAT":                                     {"BDAT 5 LAST\n" + inner, ""},
		"LF in an address":                                   {"RCPT TO:<a@customer.io\nRCPT TO:<victim@customer.io>\r\nDATA\r\n" + head + ".\r\n", ""},
		"CR in an address":                                   {"RCPT TO:<a@customer.io>\rRCPT TO:<victim@customer.io>\r\nDATA\r\n" + head + ".\r\n", ""},
		"NUL in an address, and the message goes on":         {"RCPT TO:<victim@customer.io\x00>\r\nDATA\r\n" + head + "x\r\n.\r\n", "ada@customer.io"},
		"a command behind a line too long":                   {"NOOP " + long + "\r\n" + inner, ""},
		"a command within a line too long":                   {"NOOP " + long[:16<<10-7] + inner, ""},
		"commands in the body of an HTTP request":            {"RSET\r\nPOST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n" + inner, ""},
		"commands in an HTTP request to a proxy":             {"RSET\r\nCONNECT 127.0.0.1:587 HTTP/1.1\r\n\r\n" + inner, ""},
		"commands behind AUTH that asks":                     {"RSET\r\nAUTH LOGIN\r\n" + strings.Replace(inner, "DATA", "NODATA", 1), ""},
		"commands behind STARTTLS":                           {"RSET\r\nSTARTTLS\r\n" + inner, ""},
		"a message that is too large and holds another":      {"DATA\r\n" + head + strings.Repeat(long, 15) + "\r\n" + inner, ""},
		"a message that is too large and holds another, cut": {"DATA\r\n" + head + strings.Repeat(long, 15) + "\n.\n" + inner, ""},
		"a chunk that is too large and holds another":        {chunk(head+strings.Repeat(long, 15)+"\r\n.\r\n"+inner, " LAST"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, 0, withTLS)
			h.t = t
			if strings.Contains(name, "too large and") {
				small := build(t, 0, func(o *smtpd.Options) { o.MaxSize = 200_000 })
				small.t = t
				h = small
			}
			replies := h.told(t, false, c.said)
			if got := strings.Join(h.since(0), " "); got != c.want {
				t.Errorf("accepted for %q, want %q; told %q", got, c.want, replies)
			}
			if c.want != "" && name != "NUL in an address, and the message goes on" && name != "a chunk after the message" {
				if text := h.stored(h.reply250(t)); !strings.Contains(text, "smuggled\r\n") {
					t.Errorf("the message is %q", text)
				}
			}
		})
	}
}

// reply250 is what the first message accepted was answered.
func (h *house) reply250(t *testing.T) string {
	t.Helper()
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	return h.seen.accepted[0].Message.ID.Text(mail.PrefixMessage)
}
