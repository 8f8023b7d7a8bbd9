package submit

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// A project may have a window (dedupe_window_seconds) in which a message without an
// idempotency key is the one before it when both say the same to the same recipients
// (api-v1.md §15.12). It works as if what they have in common were their key: the row
// commits with the message, so twins meet in the unique index, and the second gets the
// first one's answer. Without a window, which is the default, nothing of it is done.

// sameWindow is how long equal messages count as one; 0 = never.
func (d *draft) sameWindow() time.Duration {
	if d.r.Key != "" || d.r.Answer == nil || d.who.Project == nil {
		return 0
	}
	return time.Duration(d.who.Project.Settings.DedupeSeconds) * time.Second
}

// noteTexts keeps what the message says, before links of its own are put into it.
func (d *draft) noteTexts() {
	if d.sameWindow() == 0 {
		return
	}
	sum := sha256.New()
	add(sum, d.message.Subject, d.body.HTML, d.body.Text)
	d.says = [32]byte(sum.Sum(nil))
}

// once is under what an equal message will find this one; nil: it will not.
//
// Equal are sender, recipients with their kinds, what it says, its files, and when it is
// due: the same reminder for two days is two messages. Tags, metadata and headers do not
// matter. Answers are in the words of a dialect, so each has its own.
func (d *draft) once() *mail.Once {
	window := d.sameWindow()
	if window == 0 || d.says == [32]byte{} {
		return nil
	}
	m, sum := d.message, sha256.New()
	add(sum, string(d.says[:]), mail.FoldAddress(m.From.Email), strconv.FormatInt(m.ScheduledAt.UnixMilli(), 10))
	for i := range d.recipients {
		to := &d.recipients[i]
		add(sum, "to", to.kind.String(), to.folded)
	}
	for i := range m.Attachments {
		a := &m.Attachments[i]
		add(sum, "file", a.Filename, a.ContentType, string(a.SHA256[:]))
	}
	print := [32]byte(sum.Sum(nil))
	dialect := d.r.Via
	if dialect == "console" {
		dialect = "api" // the same one
	}
	return &mail.Once{Owner: m.Owner, Route: "same " + dialect, Key: base64.RawURLEncoding.EncodeToString(print[:]), Fingerprint: print,
		RequestID: d.r.RequestID, Created: d.now, Expires: d.now.Add(window)}
}
