package route

import (
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/mail"
)

// SandboxDomain never leaves the host in either environment: its recipients play
// parts (delivered@, bounced@, deferred+2@ …), see [ParseMagic].
const SandboxDomain = "sandbox.test"

// The parts that recipients of [SandboxDomain] play.
const (
	MagicDelivered  = "delivered"  // 250; also every name that is not one of these
	MagicBounced    = "bounced"    // 550, with Enhanced
	MagicDeferred   = "deferred"   // 451 for the first Count tries, then 250
	MagicComplained = "complained" // 250, and Delay later a complaint
	MagicSuppressed = "suppressed" // as if on the suppression list
	MagicSlow       = "slow"       // 250 after Delay
	MagicTLSFail    = "tlsfail"    // the handshake fails: deferred, class tls
	MagicReject     = "reject"     // 422 at the door
)

// Magic is a part with its parameter.
type Magic struct {
	Kind     string
	Count    int           // of deferred: 1–100, default 1
	Delay    time.Duration // of complained: default 0, at most 1 h; of slow: default 10 s, at most 10 min
	Code     int           // of bounced: default 550
	Enhanced string        // of bounced: default "5.1.1"
}

// ParseMagic reads the local part of a recipient of [SandboxDomain]:
//
//	delivered  bounced  bounced+5.2.2  bounced+552  deferred  deferred+2  complained
//	complained+60s  suppressed  slow  slow+30s  tlsfail  reject
//
// in any case. Another name is delivered, with whatever follows its '+'. An error is a
// *[mail.Error]: one of these names with a parameter that it cannot have; the Magic is
// then its part without the parameter.
func ParseMagic(local string) (Magic, error) {
	name, parameter, given := strings.Cut(strings.ToLower(local), "+")
	m := Magic{Kind: name}
	want := ""
	switch name {
	case MagicBounced:
		m.Code, m.Enhanced = 550, "5.1.1"
		if given && !m.bounce(parameter) {
			want = "a permanent status such as bounced+5.2.2"
		}
	case MagicDeferred:
		m.Count = 1
		if given && !m.count(parameter) {
			want = "a number of deferrals from 1 to 100 such as deferred+2"
		}
	case MagicComplained:
		if given && !m.delay(parameter, time.Hour) {
			want = "a time of at most 1h such as complained+60s"
		}
	case MagicSlow:
		m.Delay = 10 * time.Second
		if given && !m.delay(parameter, 10*time.Minute) {
			want = "a time of at most 10m such as slow+30s"
		}
	case MagicSuppressed, MagicTLSFail, MagicReject:
	default:
		m.Kind = MagicDelivered
	}
	if want != "" {
		return m, &mail.Error{Code: "invalid_value", Message: "'" + name + "@" + SandboxDomain + "' takes " + want + "."}
	}
	return m, nil
}

// bounce reads "5.2.2", or "552" with a status that goes with it.
func (m *Magic) bounce(text string) bool {
	if code, err := strconv.Atoi(text); err == nil && len(text) == 3 && code >= 500 && code <= 599 {
		m.Code, m.Enhanced = code, statusOf(code)
		return true
	}
	class, rest, _ := strings.Cut(text, ".")
	subject, detail, ok := strings.Cut(rest, ".")
	if class != "5" || !ok || !isStatusPart(subject) || !isStatusPart(detail) {
		return false
	}
	m.Enhanced = text
	return true
}

// statusOf is the enhanced status that usually goes with a code.
func statusOf(code int) string {
	switch code {
	case 552:
		return "5.2.2"
	case 553:
		return "5.1.3"
	case 554:
		return "5.7.1"
	case 550:
		return "5.1.1"
	}
	return "5.0.0"
}

// isStatusPart tells whether text is 1 to 3 digits without needless zeros (RFC 3463 §2).
func isStatusPart(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n <= 999 && strconv.FormatUint(n, 10) == text
}

func (m *Magic) count(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 1 || n > 100 {
		return false
	}
	m.Count = int(n)
	return true
}

func (m *Magic) delay(text string, max time.Duration) bool {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > max {
		return false
	}
	m.Delay = d
	return true
}
