package submit

import (
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/mime"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/tracking"
)

// Marking is where the links lead that differ for each recipient.
type Marking struct {
	Base     string // "https://mail.acme.test"; "" = none are put in
	MailHost string // host whose mail to unsubscribe+… reaches us; "" = there is no such door
}

// Tracking is what a request says of opens and clicks; nil is what the project says.
type Tracking struct{ Opens, Clicks *bool }

const bypassScope = "messages.bypass"

// readWishes judges what the request asks about recipients' wishes: how they unsubscribe,
// whether that counts for this message, and whether opens and clicks are counted.
func (d *draft) readWishes() {
	d.readUnsubscribe(hasHeader(d.headers, "List-Unsubscribe"))
	d.readTracking()
}

// readUnsubscribe decides whether recipients can unsubscribe by a link of ours. The
// caller's own way to do it wins.
func (d *draft) readUnsubscribe(own bool) {
	switch d.r.ListUnsubscribe {
	case "", "auto":
		d.oneClick = d.message.Tier == mail.Bulk || d.message.Topic != ""
	case "always":
		d.oneClick = true
	case "none":
	default:
		d.fault("invalid_value", "list_unsubscribe", "'list_unsubscribe' is 'auto', 'always' or 'none'.")
	}
	d.oneClick = d.oneClick && !own
	if d.r.BypassUnsubscribe && !mayBypass(d.who) {
		d.refusal = &mail.Error{Code: "insufficient_scope", Status: 403, Suggestion: bypassScope, Field: "bypass_unsubscribe", Pointer: "#/bypass_unsubscribe",
			Message: "This API key lacks the scope '" + bypassScope + "', which 'bypass_unsubscribe' needs. Use a key that has it."}
	}
	d.message.Bypass = d.r.BypassUnsubscribe
	if base := d.linkBase(); d.oneClick && d.who.Owner.Env == mail.Live && base != "" && !strings.HasPrefix(base, "https://") {
		d.warn("unsubscribe_not_https", "list_unsubscribe", "Links to unsubscribe begin with "+base+": mail systems only offer one-click over https (RFC 8058). Set public_url or the project's tracking_host.")
	}
}

func mayBypass(who project.Principal) bool { return who.Key != nil && who.Key.Has(bypassScope) }

// readTracking decides what is counted: what the request says, else the project. Security
// mail never is: its links must lead where they say, and nobody may learn when it was read.
func (d *draft) readTracking() {
	var asked tracking.Wanted
	if d.who.Project != nil {
		asked = tracking.Wanted{Opens: d.who.Project.Settings.TrackOpens, Clicks: d.who.Project.Settings.TrackClicks}
	}
	if d.r.Tracking.Opens != nil {
		asked.Opens = *d.r.Tracking.Opens
	}
	if d.r.Tracking.Clicks != nil {
		asked.Clicks = *d.r.Tracking.Clicks
	}
	if why := d.securityMail(); why != "" && (asked.Opens || asked.Clicks) {
		if d.r.Tracking.Opens != nil || d.r.Tracking.Clicks != nil {
			d.warn("tracking_exempt", "tracking", "Nothing is tracked in this message: "+why+" makes it security mail.")
		}
		return
	}
	d.track = asked
}

// securityMail says what makes the message one that is never tracked, "" when nothing does.
func (d *draft) securityMail() string {
	switch {
	case d.message.Tier == mail.Urgent:
		return "priority 'urgent'"
	case strings.EqualFold(d.message.Topic, "security"):
		return "topic 'security'"
	case slices.ContainsFunc(d.message.Tags, func(tag string) bool { return strings.EqualFold(tag, "security") }):
		return "tag 'security'"
	}
	return ""
}

// linkBase is what links in this message begin with: the project's own host, else ours.
func (d *draft) linkBase() string {
	if d.who.Project != nil && d.who.Project.Settings.TrackingHost != "" {
		return "https://" + d.who.Project.Settings.TrackingHost
	}
	return d.s.marking.Base
}

// mark puts placeholders for each recipient's own tokens into header and HTML, where
// anything is asked for that needs them. A message without any keeps the shared way.
func (d *draft) mark(m *mime.Message) {
	base := d.linkBase()
	if base == "" || !d.oneClick && !d.track.Opens && !d.track.Clicks {
		return
	}
	marks := tracking.NewMarks(base)
	if d.oneClick {
		list, post := marks.Unsubscribe(d.s.marking.MailHost)
		m.Headers = append(slices.Clip(m.Headers), mail.Header{Name: "List-Unsubscribe", Value: list})
		if !hasHeader(m.Headers, "List-Unsubscribe-Post") {
			m.Headers = append(m.Headers, mail.Header{Name: "List-Unsubscribe-Post", Value: post})
		}
	}
	m.HTML = marks.Rewrite(m.HTML, d.track)
	d.message.Stamp = marks.Marker()
	m.Whole, m.WholeSize = d.message.Stamp, tracking.Width
}

func hasHeader(headers []mail.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h mail.Header) bool { return strings.EqualFold(h.Name, name) })
}
