package webhook_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns"
	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/webhook"
)

// client is one with the name server of the test and what the operator allowed.
func client(t *testing.T, zone string, allow ...string) (*webhook.Client, *dnstest.Server) {
	t.Helper()
	names := dnstest.Start(t, zone)
	resolver := dns.New(dns.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort(names.Addr())}, MinTTL: time.Millisecond, FailureTTL: time.Millisecond, PerTry: patience, Budget: patience})
	t.Cleanup(func() { _ = resolver.Close() })
	var prefixes []netip.Prefix
	for _, text := range allow {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	c := webhook.NewClient(webhook.ClientOptions{Guard: route.NewGuard(prefixes, []netip.AddrPort{netip.MustParseAddrPort("127.9.9.9:8080")}), Resolver: resolver,
		Connect: patience, Total: patience})
	t.Cleanup(c.Close)
	return c, names
}

// checked is the early verdict, nil when there is nothing against the URL.
func checked(t *testing.T, c *webhook.Client, url string) *mail.Error {
	t.Helper()
	err := c.Check(t.Context(), url)
	var fault *mail.Error
	if err != nil && !errors.As(err, &fault) {
		t.Errorf("%q: %v is no fault", url, err)
	}
	return fault
}

// trap listens on a port of every loopback address and counts who connects.
func trap(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	hits = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hits.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, hits
}

// spellings all mean an address that must not be dialled.
var spellings = []string{
	"127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "localhost.", "app.localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
	"0.0.0.0", "[::]", "0", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7f.1", "0x7F.0.0.1", "0177.0.0.1", "127.0.0.01", "00127.0.0.1", "127.0.0.1.", "127.0.0.0x1",
	"①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.０.０.１", "127%2e0%2e0%2e1", "[fe80::1%25lo]",
	"10.20.1.4", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "[fd00:ec2::254]", "192.0.0.8",
	"198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]",
	"[2002:7f00:1::1]", "[100::1]", "[fc00::1]", "[fe80::1]", "[ff02::1]", "[2001:db8::1]", "[2001::1]",
	"loop.example.com", "loop6.example.com", "mapped.example.com", "nat64.example.com", "private.example.com", "meta.example.com", "alias.example.com", "both.example.com",
}

const spellingZone = `
	loop.example.com.    A     127.0.0.1
	loop6.example.com.   AAAA  ::1
	mapped.example.com.  AAAA  ::ffff:127.0.0.1
	nat64.example.com.   AAAA  64:ff9b::7f00:1
	private.example.com. A     10.20.1.4
	meta.example.com.    A     169.254.169.254
	alias.example.com.   CNAME loop.example.com.
	both.example.com.    A     127.0.0.1
	both.example.com.    AAAA  fd00::1
`

func TestEverySpellingOfAForbiddenAddressIsRefusedBeforeASyn(t *testing.T) {
	t.Parallel()
	c, _ := client(t, spellingZone)
	port, hits := trap(t)
	for _, scheme := range []string{"https", "http"} {
		for _, host := range spellings {
			url := scheme + "://" + host + ":" + port + "/hooks"
			if fault := checked(t, c, url); fault == nil || fault.Field != "url" || fault.Pointer != "#/url" {
				t.Errorf("%s: early verdict %v", url, fault)
			}
			try := c.Post(t.Context(), posting(url))
			if try.Status != 0 || try.Error == "" || strings.Contains(try.Error, "Nobody listens") || strings.Contains(try.Error, "No connection") || strings.Contains(try.Error, "no way") {
				t.Errorf("%s: %+v", url, try)
			}
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	t.Logf("%d spellings, as https and http: all refused, %d connections", len(spellings), hits.Load())
}

func TestARefusalSaysWhatAnOperatorCanDo(t *testing.T) {
	t.Parallel()
	c, _ := client(t, spellingZone)
	fault := checked(t, c, "https://private.example.com/x")
	if fault == nil || fault.Code != "url_not_allowed" || !strings.Contains(fault.Message, "10.20.1.4 is a private address") || !strings.Contains(fault.Message, "POSTROAD_ALLOW_NETWORKS=10.20.1.4/32") {
		t.Errorf("%+v", fault)
	}
}

func TestANameThatRebindsAfterTheCheckIsRefusedWhenConnecting(t *testing.T) {
	t.Parallel()
	port, hits := trap(t)
	c, names := client(t, "rebind.example.com. 1 A 93.184.216.34")
	url := "https://rebind.example.com:" + port + "/hooks"
	if fault, doubt := checked(t, c, url), c.Doubt(t.Context(), url); fault != nil || doubt != nil {
		t.Fatal(fault, doubt)
	}
	if err := names.Set("rebind.example.com. 1 A 127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // until the answer of the check is forgotten
		if fault := checked(t, c, url); fault != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the name still leads where it led")
		}
	}
	try := c.Post(t.Context(), posting(url))
	if !strings.Contains(try.Error, "127.0.0.1 is a loopback address") || hits.Load() != 0 {
		t.Errorf("%+v, %d connections", try, hits.Load())
	}
}

func TestOfANamesAddressesOnlyThoseThatMayBeAreDialled(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.5.0.1:0")
	if err != nil {
		t.Skip("this host has no loopback network:", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	inside, err := net.Listen("tcp", "127.6.0.1:"+port)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = inside.Close() })
	var in, out atomic.Int64
	for listener, hits := range map[net.Listener]*atomic.Int64{l: &in, inside: &out} {
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				hits.Add(1)
				_ = conn.Close()
			}
		}()
	}
	c, _ := client(t, "two.example.com. A 127.6.0.1\ntwo.example.com. A 127.5.0.1", "127.5.0.0/16")
	for end := time.Now().Add(patience); in.Load() < 8 && time.Now().Before(end); { // the order of addresses is by chance
		c.Post(t.Context(), posting("http://two.example.com:"+port+"/"))
	}
	if in.Load() < 8 || out.Load() != 0 {
		t.Errorf("%d connections to the allowed address, %d to the other", in.Load(), out.Load())
	}
}

func TestAnAllowedNetworkIsOpenedAndNothingElse(t *testing.T) {
	t.Parallel()
	c, _ := client(t, "in.example.com. A 127.5.0.1\nout.example.com. A 127.6.0.1", "127.5.0.0/16", "127.9.0.0/16")
	for url, open := range map[string]bool{
		"https://127.5.0.1/": true, "http://127.5.0.1:8080/": true, "http://in.example.com:8080/": true, "http://127.6.0.1:8080/": false, "https://out.example.com/": false,
		"http://[::ffff:127.5.0.1]:8080/": true, "http://127.9.9.9:8080/": false, "https://127.9.9.9:8080/": false, "http://127.9.9.9:8081/": true,
		"https://8.8.8.8/": true, "http://8.8.8.8/": false,
	} {
		if fault := checked(t, c, url); (fault == nil) != open {
			t.Errorf("%s: %v", url, fault)
		}
	}
}

func TestURLsThatAreNoneAreFaultsWithAWayOut(t *testing.T) {
	t.Parallel()
	c, _ := client(t, "app.example.com. A 93.184.216.34")
	for url, want := range map[string]string{
		"":                                         "begins with https://",
		"app.example.com/hooks":                    "begins with https://",
		"ftp://app.example.com/":                   "begins with https://",
		"https://":                                 "names no host",
		"https:app.example.com":                    "names no host",
		"https://:443/":                            "names no host",
		"https://user:secret@app.example.com/":     "custom_headers",
		"https://user@app.example.com/":            "custom_headers",
		"https://app.example.com/#part":            "'#'",
		"https://app.example.com:25/":              "Port 25",
		"https://app.example.com:22/":              "Port 22",
		"https://app.example.com:0/":               "Port 0",
		"https://app.example.com:65536/":           "Port 65536",
		"https://app.example.com:443x/":            "not a URL",
		"https://app example.com/":                 "spaces",
		"https://app.example.com/a b":              "spaces",
		"https://app.example.com\\@127.0.0.1/":     "backslash",
		"https://app_1.example.com/":               "not a host name",
		"https://-a.example.com/":                  "not a host name",
		"https://a..example.com/":                  "not a host name",
		"https://[::1/":                            "not a URL",
		"https://[::g]/":                           "not",
		"https://app.example.com/\x00":             "control",
		"https://" + strings.Repeat("a", 2048):     "2048 characters",
		"https://app.example.com/%zz":              "not a URL",
		"https://1.2.3.4.5/":                       "four decimal numbers",
		"https://app.example.com.0x10/":            "four decimal numbers",
		"https://256.1.1.1/":                       "four decimal numbers",
		"https://app.example.com:443/\u00a0\u2028": "",
	} {
		fault := checked(t, c, url)
		if want == "" {
			if fault != nil {
				t.Errorf("%q: %v", url, fault)
			}
			continue
		}
		if fault == nil || !strings.Contains(fault.Message, want) || fault.Pointer != "#/url" {
			t.Errorf("%q: %v, want %q", url, fault, want)
		}
	}
	const nowhere = "https://nowhere.example.com/"
	if fault, doubt := checked(t, c, nowhere), c.Doubt(t.Context(), nowhere); fault != nil || doubt == nil || doubt.Code != "url_not_resolved" {
		t.Error(fault, doubt)
	}
}

func FuzzURL(f *testing.F) {
	for _, host := range spellings {
		f.Add("https://" + host + "/")
	}
	guard := route.NewGuard(nil, nil)
	c := webhook.NewClient(webhook.ClientOptions{Guard: guard, Resolver: nobody{}})
	f.Fuzz(func(t *testing.T, url string) {
		fault, doubt := checked(t, c, url), c.Doubt(t.Context(), url)
		if fault != nil && (fault.Message == "" || fault.Field != "url") {
			t.Errorf("%q: %+v", url, fault)
		}
		if doubt != nil && (fault != nil || !strings.Contains(doubt.Message, "no answer")) {
			t.Errorf("%q: %+v and %v", url, doubt, fault)
		}
	})
}

// nobody knows no name.
type nobody struct{}

func (nobody) Addresses(context.Context, string) ([]netip.Addr, error) {
	return nil, errors.New("nobody")
}
