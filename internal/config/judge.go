package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/internal/certificate"
	"github.com/postroad/postroad/internal/route"
)

// judge checks what was read and fills in what an empty setting stands for.
func (r *reading) judge(s *Settings) {
	r.judgeStorage(&s.Storage)
	r.judgeHTTP(&s.HTTP)
	r.judgeKeys(&s.Keys)
	r.judgeDelivery(&s.Delivery)
	r.judgeHooks(&s.Hooks)
	r.judgeHyvor(&s.Hyvor)
	r.judgeSubmission(s)
	r.judgeInbound(s)
	r.judgeRunning(&s.Running)
}

// wrong reports a fault of a key at the place its value came from.
func (r *reading) wrong(key, format string, args ...any) {
	where := r.where[key]
	if where == "" {
		where = key
	}
	r.fault(where, format, args...)
}

// within reports a number outside its bounds.
func within[T int | Bytes | time.Duration](r *reading, key string, v, low, high T) {
	if v < low || v > high {
		r.wrong(key, "must be from %v to %v", low, high)
	}
}

func (r *reading) judgeStorage(s *Storage) {
	if s.DataDir == "" {
		r.wrong("data_dir", "must name a directory")
	}
	within(r, "audit_days", s.AuditDays, 0, 36500)
	engine, _, ok := strings.Cut(s.DatabaseURL, ":")
	switch {
	case s.DatabaseURL == "", s.DatabaseURL == "sqlite:":
		s.DatabaseURL = "sqlite:"
	case engine == "postgres", engine == "postgresql":
		r.wrong("database_url", "this version has the embedded database only: 'sqlite:'")
	case ok && engine == "sqlite":
		r.wrong("database_url", "'sqlite:' takes no path; the database is in data_dir")
	default:
		r.wrong("database_url", "must be 'sqlite:'")
	}
}

func (r *reading) judgeHTTP(s *HTTP) {
	r.judgeListen("http_addr", s.Addr)
	if s.PublicURL != "" {
		u, err := url.Parse(s.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			r.wrong("public_url", "must be an address like https://mail.example.com")
		}
		s.PublicURL = strings.TrimRight(s.PublicURL, "/")
	}
	within(r, "max_body", s.MaxBody, 64<<10, 50<<20)
	within(r, "key_concurrency", s.KeyConcurrency, 0, 1_000_000)
	within(r, "session_idle", s.SessionIdle, time.Minute, 365*24*time.Hour)
	within(r, "session_life", s.SessionLife, time.Minute, 365*24*time.Hour)
}

func (r *reading) judgeHyvor(s *Hyvor) {
	within(r, "hyvor_max_recipients", s.MaxRecipients, 1, 1000)
	within(r, "hyvor_max_size", s.MaxSize, 64<<10, 50<<20)
	within(r, "hyvor_max_attachments", s.MaxAttachments, 1, 100)
	within(r, "hyvor_max_keys", s.MaxKeys, 1, 10_000)
}

// judgeListen wants host:port; the host may be empty (all addresses).
func (r *reading) judgeListen(key, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		r.wrong(key, "must be an address and a port, like 127.0.0.1:8080")
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		r.wrong(key, "has no port from 0 to 65535")
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		r.wrong(key, "must begin with an IP address of this host, or nothing for all of them")
	}
}

func (r *reading) judgeKeys(s *Keys) {
	if n := utf8.RuneCountInString(s.AdminPassword); s.AdminPassword != "" && (n < 8 || n > 200) {
		r.wrong("admin_password", "must have 8 to 200 characters")
	}
	for key, text := range map[string]string{"bootstrap_live_key": s.BootstrapLive, "bootstrap_test_key": s.BootstrapTest} {
		if text == "" {
			continue
		}
		if len(text) < 16 || len(text) > 256 || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
			r.wrong(key, "must have 16 to 256 printable characters without spaces")
		}
	}
	if s.BootstrapLive != "" && s.BootstrapLive == s.BootstrapTest {
		r.wrong("bootstrap_test_key", "must not be the live key")
	}
}

func (r *reading) judgeDelivery(s *Delivery) {
	if s.Hostname == "" {
		s.Hostname = ownName()
	}
	s.Hostname = strings.ToLower(strings.TrimSuffix(s.Hostname, "."))
	if !isHostname(s.Hostname) {
		r.wrong("hostname", "must be a host name like mail.example.com")
	}
	within(r, "mx_port", s.MXPort, 1, 65535)
	within(r, "site_connections", s.SiteConnections, 1, 1000)
	within(r, "session_messages", s.SessionMessages, 1, 100000)
	within(r, "soft_stop", s.SoftStop, 0, time.Hour)
	r.judgeSchedule(s.RetrySchedule)
	if s.SmartHost != "" {
		if _, err := route.ParseSmartHost(s.SmartHost, s.SmartHostUser, s.SmartHostSecret); err != nil {
			r.wrong("smart_host", "%s", err)
		}
	} else if s.SmartHostUser != "" || s.SmartHostSecret != "" {
		r.wrong("smart_host", "smart_host_user and smart_host_password need a smart_host")
	}
}

func (r *reading) judgeSchedule(waits []time.Duration) {
	if len(waits) == 0 {
		r.wrong("retry_schedule", "must have 1 to 50 waits")
	}
	r.judgeWaits("retry_schedule", waits)
}

// judgeWaits looks at each wait of a schedule; none is for the caller to judge.
func (r *reading) judgeWaits(key string, waits []time.Duration) {
	if len(waits) > 50 {
		r.wrong(key, "must have 1 to 50 waits")
	}
	for _, wait := range waits {
		if wait < 10*time.Millisecond || wait > 7*24*time.Hour {
			r.wrong(key, "%v must be from 10ms to 168h", wait)
		}
	}
}

func (r *reading) judgeHooks(s *Hooks) {
	r.judgeWaits("webhook_schedule", s.Schedule)
	within(r, "webhook_probe", s.Probe, 10*time.Millisecond, time.Hour)
}

// judgeInbound leaves the address of a closed door empty.
func (r *reading) judgeInbound(all *Settings) {
	s := &all.Inbound
	s.Addr = r.judgeDoor("inbound_addr", s.Addr)
	if s.Addr != "" && !strings.HasSuffix(s.Addr, ":0") && (s.Addr == all.Submission.Addr || s.Addr == all.Submission.TLSAddr) {
		r.wrong("inbound_addr", "must not be the address of another door")
	}
}

// judgeSubmission leaves the address of a closed door empty.
func (r *reading) judgeSubmission(all *Settings) {
	s := &all.Submission
	s.Addr, s.TLSAddr = r.judgeDoor("submission_addr", s.Addr), r.judgeDoor("submissions_addr", s.TLSAddr)
	if s.Addr != "" && s.Addr == s.TLSAddr && !strings.HasSuffix(s.Addr, ":0") {
		r.wrong("submissions_addr", "must not be the address of submission_addr")
	}
	within(r, "submission_connections", s.Connections, 1, 1_000_000)
	within(r, "submission_connections_per_address", s.PerAddress, 1, 1_000_000)
	switch {
	case (s.TLSCert == "") != (s.TLSKey == ""):
		r.wrong("tls_cert", "tls_cert and tls_key go together: set both or none")
	case s.ACMEEmail == "":
	case s.TLSCert != "":
		r.notes = append(r.notes, "tls_cert is set, so acme_email is not used")
	case !isHostname(all.Delivery.Hostname) || !certificate.Public(all.Delivery.Hostname):
		r.wrong("acme_email", "an authority gives certificates to public names only; set hostname to this host's (it is %s)", all.Delivery.Hostname)
	}
	if s.ACMEEmail != "" && !strings.Contains(s.ACMEEmail, "@") {
		r.wrong("acme_email", "must be an e-mail address")
	}
	if u, err := url.Parse(s.ACMEDirectory); s.ACMEDirectory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		r.wrong("acme_directory", "must be an https address")
	}
}

// judgeDoor judges the address of a door that can be closed.
func (r *reading) judgeDoor(key, addr string) string {
	if addr == Off || addr == "none" {
		return ""
	}
	if addr != "" {
		r.judgeListen(key, addr)
	}
	return addr
}

func (r *reading) judgeRunning(s *Running) {
	switch s.Log {
	case "", "text", "json":
	default:
		r.wrong("log", "must be text or json")
	}
	switch s.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		r.wrong("log_level", "must be debug, info, warn or error")
	}
	if s.MemoryLimit != 0 {
		within(r, "memory_limit", s.MemoryLimit, 64<<20, 1<<40)
	}
}

// ownName is the host's name when it can stand in an EHLO, else localhost.
func ownName() string {
	name, err := os.Hostname()
	if err != nil || !isHostname(strings.ToLower(name)) {
		return "localhost"
	}
	return name
}

// isHostname checks letters, digits, hyphens and dots (RFC 1123 §2.1), at most 253.
func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
		}) {
			return false
		}
	}
	return true
}
