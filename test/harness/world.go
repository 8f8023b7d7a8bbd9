package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/dns/dnstest"
	"github.com/postroad/postroad/internal/persona"
)

// World is the Internet of a Postroad under test, on loopback: a name server, and one
// port at which every mail exchanger listens, each on an address 127.0.0.x of its own.
type World struct {
	DNS    *dnstest.Server
	MXPort int

	adding sync.Mutex // adding is reading and writing back
}

// NewWorld makes an empty one; Close it.
func NewWorld() (*World, error) {
	dns, err := dnstest.Listen("127.0.0.1:0", "")
	if err != nil {
		return nil, err
	}
	addr, err := freePort("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	w := &World{DNS: dns}
	w.MXPort, _ = strconv.Atoi(port)
	return w, nil
}

// OpenWorld is NewWorld for a test.
func OpenWorld(t testing.TB) *World {
	t.Helper()
	w, err := NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// Close ends the name server.
func (w *World) Close() { _ = w.DNS.Close() }

// Env are the settings by which a Postroad lives in this world.
func (w *World) Env(more ...string) map[string]string {
	env := map[string]string{
		"POSTROAD_DNS_SERVERS":    w.DNS.Addr(),
		"POSTROAD_MX_PORT":        strconv.Itoa(w.MXPort),
		"POSTROAD_ALLOW_NETWORKS": "127.0.0.0/8,::1/128",
	}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// At is where the exchanger of an address listens.
func (w *World) At(ip string) string { return net.JoinHostPort(ip, strconv.Itoa(w.MXPort)) }

// Records adds records, written as in a zone file with absolute names.
func (w *World) Records(records string) error {
	w.adding.Lock()
	defer w.adding.Unlock()
	return w.DNS.Add(records)
}

// Route sends mail for a domain to these addresses, the first preferred.
func (w *World) Route(domain string, ips ...string) error {
	var zone strings.Builder
	for i, ip := range ips {
		kind := "A"
		if strings.Contains(ip, ":") {
			kind = "AAAA"
		}
		fmt.Fprintf(&zone, "%s. MX %d mx%d.%s.\nmx%d.%s. %s %s\n", domain, 10*(i+1), i+1, domain, i+1, domain, kind, ip)
	}
	return w.Records(zone.String())
}

// Record is a DNS record Postroad asks a domain's owner to publish.
type Record struct {
	Purpose  string `json:"purpose"`
	Required bool   `json:"required"`
	Type     string `json:"type"`
	FQDN     string `json:"fqdn"`
	Value    string `json:"value"`
}

// Register adds a sending domain and gives the records it should have. The algorithm
// of its DKIM key is "rsa2048", "ed25519", or "" for Postroad's default (both).
func (w *World) Register(p *Postroad, name, algorithm string) ([]Record, error) {
	return w.register(p, LiveKey, name, algorithm)
}

func (w *World) register(p *Postroad, key, name, algorithm string) ([]Record, error) {
	body := map[string]any{"name": name}
	if algorithm != "" {
		body["dkim"] = map[string]any{"algorithm": algorithm}
	}
	a, err := p.Do("POST", "/v1/domains", key, body)
	if err != nil || a.Status != http.StatusCreated {
		return nil, fmt.Errorf("register %s: %v, status %d: %.500s", name, err, a.Status, a.Body)
	}
	a, err = p.Do("GET", "/v1/domains/"+name+"/dns", key, nil)
	if err != nil || a.Status != http.StatusOK {
		return nil, fmt.Errorf("records of %s: %v, status %d: %.500s", name, err, a.Status, a.Body)
	}
	var list struct {
		Data []Record `json:"data"`
	}
	return list.Data, json.Unmarshal(a.Body, &list)
}

// Publish puts records into the name server.
func (w *World) Publish(records []Record) error {
	var zone strings.Builder
	for _, r := range records {
		value := r.Value
		if r.Type == "TXT" {
			value = quoteTXT(value)
		} else if !strings.HasSuffix(value, ".") {
			value += "."
		}
		fmt.Fprintf(&zone, "%s. %s %s\n", strings.TrimSuffix(r.FQDN, "."), r.Type, value)
	}
	return w.Records(zone.String())
}

// quoteTXT writes a text as strings of at most 255 octets (RFC 1035 §3.3.14).
func quoteTXT(text string) string {
	var all []string
	for len(text) > 255 {
		all, text = append(all, strconv.Quote(text[:255])), text[255:]
	}
	return strings.Join(append(all, strconv.Quote(text)), " ")
}

// Verify registers a domain, publishes what it asks for and has it verified.
func (w *World) Verify(p *Postroad, name, algorithm string) error {
	return w.VerifyFor(p, LiveKey, name, algorithm)
}

// VerifyFor is Verify for the project of a key.
func (w *World) VerifyFor(p *Postroad, key, name, algorithm string) error {
	records, err := w.register(p, key, name, algorithm)
	if err != nil {
		return err
	}
	if err := w.Publish(records); err != nil {
		return fmt.Errorf("publish the records of %s: %w", name, err)
	}
	for end := time.Now().Add(Patience); ; time.Sleep(200 * time.Millisecond) {
		a, err := p.Do("POST", "/v1/domains/"+name+"/verify", key, []byte("{}"))
		if err != nil {
			return err
		}
		var state struct{ Status string }
		_ = json.Unmarshal(a.Body, &state)
		if state.Status == "verified" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not verified: status %d: %.2000s", name, a.Status, a.Body)
		}
	}
}

// LookupTXT asks the world's name server, for verifiers of signatures.
func (w *World) LookupTXT(name string) ([]string, error) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.DNS.Addr())
	}}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return resolver.LookupTXT(ctx, strings.TrimSuffix(name, ".")+".")
}

// Exchanger plays a script (the language is in package persona) at an address until the
// test ends, and keeps what it receives.
func (w *World) Exchanger(t testing.TB, ip, script string) *persona.Server {
	t.Helper()
	s, err := persona.Parse("of the test", script)
	if err != nil {
		t.Fatal(err)
	}
	server, err := persona.Listen(w.At(ip), s, persona.Options{Keep: true, Count: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}
