package doctor_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/doctor"
	"github.com/postroad/postroad/internal/project"
	"github.com/postroad/postroad/internal/seal"
)

const zone = `
	gmail.com.     MX 5 gmail-in.test.
	gmail-in.test. A  192.0.2.5
	mx.post.test.  A  192.0.2.25
	mx.post.test.  A  192.0.2.28
	other.test.    A  192.0.2.27
	25.2.0.192.in-addr.arpa. PTR mx.post.test.
	26.2.0.192.in-addr.arpa. PTR mx.post.test.
	28.2.0.192.in-addr.arpa. PTR other.test.
	`

// answers are a greeting of "220 hello" from the other end of a pipe.
func answers(_ context.Context, _, addr string) (net.Conn, error) {
	if addr != "192.0.2.5:25" {
		return nil, errors.New("dialled " + addr)
	}
	ours, theirs := net.Pipe()
	go func() {
		_, _ = theirs.Write([]byte("220 hello\r\n"))
		_, _ = theirs.Read(make([]byte, 100))
		_ = theirs.Close()
	}()
	return ours, nil
}

func refuses(context.Context, string, string) (net.Conn, error) { return nil, errors.New("blocked") }

// start gives what there is to look at; its name server is waited for so long: a minute, which no machine
// stalls for.
func start(t *testing.T, patience ...time.Duration) (doctor.Options, *dnstest.Server) {
	t.Helper()
	patience = append(patience, time.Minute)
	server := dnstest.Start(t, zone)
	resolver := dns.New(dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(server.Addr())}, PerTry: patience[0], Budget: 2 * patience[0]})
	t.Cleanup(func() { _ = resolver.Close() })
	dir := t.TempDir()
	if _, err := seal.Open(dir); err != nil {
		t.Fatal(err)
	}
	return doctor.Options{DataDir: dir, Hostname: "mx.post.test", Source: netip.MustParseAddr("192.0.2.25"), Resolver: resolver, Dial: answers}, server
}

// statuses gives id=status for every check, and fails for one that says nothing.
func statuses(t *testing.T, checks []doctor.Check) map[string]doctor.Check {
	t.Helper()
	by := map[string]doctor.Check{}
	for _, c := range checks {
		by[c.ID] = c
		if c.Summary == "" || (c.Status == doctor.Warn || c.Status == doctor.Fail) != (c.Fix != "") {
			t.Errorf("%+v", c)
		}
	}
	return by
}

func TestASoundHostPasses(t *testing.T) {
	t.Parallel()
	o, _ := start(t)
	by := statuses(t, doctor.Run(t.Context(), o))
	for _, id := range []string{"secret_key", "resolver", "hostname", "ptr", "fcrdns", "port25_egress"} {
		if by[id].Status != doctor.Pass {
			t.Errorf("%s: %+v", id, by[id])
		}
	}
	for _, id := range []string{"disk", "clock_skew"} { // as this host is
		if by[id].ID == "" {
			t.Errorf("%s is not checked", id)
		}
	}
	if by["domains"].Status != doctor.Skip {
		t.Errorf("domains: %+v", by["domains"])
	}
}

func TestEachFaultIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*testing.T, *doctor.Options, *dnstest.Server)
		id     string
		want   doctor.Status
		says   string
	}{
		"resolver silent":        {func(_ *testing.T, _ *doctor.Options, s *dnstest.Server) { s.Fail("*.", dnstest.Drop) }, "resolver", doctor.Fail, "timeout"},
		"resolver of its own":    {func(_ *testing.T, _ *doctor.Options, s *dnstest.Server) { s.Fail("gmail.com", dnstest.NXDomain) }, "resolver", doctor.Warn, "knows no"},
		"port 25 blocked":        {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Dial = refuses }, "port25_egress", doctor.Fail, "port 25"},
		"another port":           {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.MXPort = 2525 }, "port25_egress", doctor.Skip, "2525"},
		"no full name":           {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Hostname = "localhost" }, "hostname", doctor.Fail, "localhost"},
		"a name without address": {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Hostname = "nobody.test" }, "hostname", doctor.Fail, "no address"},
		"no PTR":                 {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Source = netip.MustParseAddr("8.8.8.8") }, "ptr", doctor.Fail, "no name"},
		"another's PTR":          {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Source = netip.MustParseAddr("192.0.2.28") }, "ptr", doctor.Warn, "other.test"},
		"a PTR that leads away":  {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Source = netip.MustParseAddr("192.0.2.28") }, "fcrdns", doctor.Fail, "lead back"},
		"behind NAT":             {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Source = netip.MustParseAddr("10.0.0.5") }, "ptr", doctor.Skip, "not public"},
		"PTR out of reach": {func(_ *testing.T, _ *doctor.Options, s *dnstest.Server) {
			s.Fail("25.2.0.192.in-addr.arpa", dnstest.ServFail)
		}, "ptr", doctor.Skip, "could not"},
		"key file open": {func(t *testing.T, o *doctor.Options, _ *dnstest.Server) {
			if err := os.Chmod(filepath.Join(o.DataDir, seal.FileName), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "secret_key", doctor.Warn, "0644"},
		"no data yet": {func(t *testing.T, o *doctor.Options, _ *dnstest.Server) { o.DataDir = filepath.Join(t.TempDir(), "no") }, "disk", doctor.Skip, "not there yet"},
		"offline":     {func(_ *testing.T, o *doctor.Options, _ *dnstest.Server) { o.Offline, o.Dial = true, nil }, "port25_egress", doctor.Skip, "offline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var patience []time.Duration
			if strings.HasSuffix(name, "silent") {
				patience = append(patience, 100*time.Millisecond)
			}
			o, server := start(t, patience...)
			c.change(t, &o, server)
			got := statuses(t, doctor.Run(t.Context(), o))[c.id]
			if got.Status != c.want || !strings.Contains(got.Summary, c.says) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestOfflineAsksNobody(t *testing.T) {
	t.Parallel()
	o, server := start(t)
	o.Offline = true
	o.Domains = []project.Domain{{Name: "acme.test"}}
	o.Inspect = func(context.Context, project.Domain) ([]project.Record, map[string]string) {
		t.Error("a domain was looked up")
		return nil, nil
	}
	doctor.Run(t.Context(), o)
	if server.Total() != 0 {
		t.Errorf("%d questions were asked", server.Total())
	}
}

func TestEverySideOfADomainIsReported(t *testing.T) {
	t.Parallel()
	o, _ := start(t)
	o.Domains = []project.Domain{{Name: "acme.test"}}
	o.Inspect = func(context.Context, project.Domain) ([]project.Record, map[string]string) {
		return []project.Record{
			{Purpose: "DKIM", State: project.RecordMissing, Diagnosis: "only advised"},
			{Purpose: "DKIM", Required: true, State: project.RecordMismatch, Diagnosis: "Not ours.", FQDN: "s1._domainkey.acme.test", Type: "TXT", Value: "v=DKIM1"},
			{Purpose: "DMARC", State: project.RecordFound, Diagnosis: "Only watches."},
		}, map[string]string{"dkim": "fail", "return_path": "pass", "spf": "unknown", "dmarc": "warn"}
	}
	checks := doctor.Run(t.Context(), o)
	by := statuses(t, checks)
	for id, want := range map[string]doctor.Status{"dkim:acme.test": doctor.Fail, "return_path:acme.test": doctor.Pass, "spf:acme.test": doctor.Skip, "dmarc:acme.test": doctor.Warn} {
		if by[id].Status != want {
			t.Errorf("%s: %+v", id, by[id])
		}
	}
	if fix := by["dkim:acme.test"].Fix; !strings.Contains(fix, "Not ours.") || !strings.Contains(fix, `s1._domainkey.acme.test TXT "v=DKIM1"`) {
		t.Errorf("fix: %s", fix)
	}
	if doctor.Worst(checks) != doctor.Fail || doctor.Worst(nil) != doctor.Pass {
		t.Error("the worst of them is a failure")
	}
}
