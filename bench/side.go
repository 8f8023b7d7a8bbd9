package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postroad/postroad/bench/load"
	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

// messageSize is the payload of each message in bytes, headers not counted (as
// smtp-source's -l counts).
const messageSize = 2048

// side is a running Postroad with the world it delivers in.
type side struct {
	dir   string
	world *harness.World
	p     *harness.Postroad
	sink  *sink.Sink // at 127.0.0.1, the exchanger of fast.test

	profile string // file for the profile of the measured run, "" = none
}

// The sending domains, by how their mail is signed.
var domains = map[string]struct {
	algorithm  string
	signatures int64 // on each message
}{
	"unsigned": {"", 0}, // registered and never verified: nothing to sign with
	"both":     {"", 2},
	"rsa":      {"rsa2048", 1},
	"ed25519":  {"ed25519", 1},
}

// openSide starts a Postroad on an empty data directory; with a profile named, one that
// can write it.
func openSide(ctx context.Context, b sink.Behaviour, profile string) (*side, error) {
	dir, err := os.MkdirTemp("", "postroad-bench-")
	if err != nil {
		return nil, err
	}
	s := &side{dir: dir, profile: profile}
	o := harness.Options{Dir: dir}
	if profile != "" {
		if o.Path, err = buildProfiled(ctx, dir); err != nil {
			s.close()
			return nil, err
		}
	}
	if s.world, err = harness.NewWorld(); err == nil {
		s.sink, err = sink.Listen(s.world.At("127.0.0.1"), b)
	}
	if err == nil {
		err = s.world.Route("fast.test", "127.0.0.1")
	}
	if err == nil {
		o.Env = s.world.Env("POSTROAD_SITE_CONNECTIONS", strconv.Itoa(siteConnections), "POSTROAD_LOG_LEVEL", "warn", "BENCH_CPU_PROFILE", profile)
		s.p, err = harness.Launch(ctx, o)
	}
	if err == nil {
		err = s.allowUnverified()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *side) close() {
	if s.p != nil {
		s.p.Kill()
	}
	if s.sink != nil {
		s.sink.Close()
	}
	if s.world != nil {
		s.world.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// allowUnverified lets pending domains send: that mail leaves unsigned.
func (s *side) allowUnverified() error {
	a, err := s.p.Do("PATCH", "/v1/project", harness.LiveKey, map[string]any{"unverified_domains": "warn"})
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("allow unverified domains: status %d: %s", a.Status, a.Body)
	}
	if err == nil {
		_, err = s.world.Register(s.p, "unsigned.test", "")
	}
	return err
}

// sender makes the sending domain of a way of signing ready and gives its address.
func (s *side) sender(signing string) (string, error) {
	name := signing + ".test"
	if signing != "unsigned" {
		if err := s.world.Verify(s.p, name, domains[signing].algorithm); err != nil {
			return "", err
		}
	}
	return "sender@" + name, nil
}

// load prepares messages to numbered recipients of a destination. More are further
// JSON members, each with a comma behind it.
func (s *side) load(from, destination, more string, n, connections int) *load.Load {
	return &load.Load{
		Addr: s.p.Addr, Key: harness.LiveKey, Connections: connections, Messages: n,
		Prefix: fmt.Sprintf(`{"from":"Bench <%s>",%s"subject":"Figures of the quarter","text":"%s","recipient":"user`, from, more, text()),
		Suffix: "@" + destination + `"}`,
	}
}

// text is messageSize bytes on the wire: lines of 76 characters and CRLF.
func text() string {
	line := strings.Repeat("0123456789 abcdefghijklmnopqrstuvwxyz ", 2)[:74] + `.`
	var all strings.Builder
	for size := messageSize; size > 0; size -= len(line) + 2 {
		all.WriteString(line[:min(len(line), max(size-2, 1))] + `\n`)
	}
	return all.String()
}

// settle waits until the process has nothing left to do, so that its CPU time is that
// of the whole work.
func (s *side) settle() {
	last := cpuOf(s.p.Pid())
	for range 50 {
		time.Sleep(200 * time.Millisecond)
		now := cpuOf(s.p.Pid())
		if now-last <= 20*time.Millisecond {
			return
		}
		last = now
	}
}

// run sends n messages and waits until all are at the sink. With later set they are
// scheduled for another day: only accepting is measured.
func (s *side) run(ctx context.Context, signing string, n, connections int, later bool) (*figures, error) {
	from, err := s.sender(signing)
	if err != nil {
		return nil, err
	}
	more := ""
	if later {
		more = fmt.Sprintf(`"scheduled_time":"%s",`, tomorrow())
	}
	if err := s.warmUp(ctx, from, connections); err != nil {
		return nil, err
	}
	f, err := s.measure(ctx, n, !later, domains[signing].signatures, s.load(from, "fast.test", more, n, connections))
	if f != nil {
		f.name = "Postroad, " + signing
		if later {
			f.name = "Postroad, mail scheduled"
		}
	}
	return f, err
}

// mail is run over SMTP, unsigned.
func (s *side) mail(ctx context.Context, n, connections int, later bool) (*figures, error) {
	from, err := s.sender("unsigned")
	if err == nil {
		err = s.warmUp(ctx, from, connections)
	}
	if err != nil {
		return nil, err
	}
	m := newMail(s.p.SMTP, from, "fast.test", n, connections)
	m.Key = harness.LiveKey
	if later {
		m.Header = "X-Postroad-Send-At: " + tomorrow() + "\r\n"
	}
	f, err := s.measure(ctx, n, !later, 0, m)
	if f != nil {
		f.name = "Postroad, SMTP"
		if later {
			f.name = "Postroad, SMTP scheduled"
		}
	}
	return f, err
}

func tomorrow() string { return time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339) }

// newMail prepares messages over SMTP to numbered recipients of a destination.
func newMail(addr, from, destination string, n, connections int) *load.Mail {
	return &load.Mail{Addr: addr, Connections: connections, Messages: n, From: from, Prefix: "user", Suffix: "@" + destination,
		Body: strings.ReplaceAll(text(), `\n`, "\r\n")}
}

// ownSource is the load generator that Postroad's SMTP door is measured with.
func ownSource(ctx context.Context, addr string, n, connections int) (*figures, error) {
	a, err := newMail(addr, "sender@bench.test", "example.org", n, connections).Send(ctx)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return nil, err
	}
	return &figures{accepted: a.PerSecond(), p50: a.Quantile(0.5), p99: a.Quantile(0.99)}, nil
}

// generator sends what was prepared.
type generator interface {
	Send(ctx context.Context) (*load.Answers, error)
}

// measure runs a generator of n messages, and waits for the sink when they are to arrive.
func (s *side) measure(ctx context.Context, n int, arrive bool, signatures int64, g generator) (*figures, error) {
	pid := s.p.Pid()
	s.sink.Reset()
	harness.ForgetPeak(pid)
	s.signal(syscall.SIGUSR1)
	before, us, all, start := cpuOf(pid), cpuOfUs(), readMachine(), time.Now()
	a, err := g.Send(ctx)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return nil, err
	}
	f := &figures{messages: n, accepted: a.PerSecond(), p50: a.Quantile(0.5), p99: a.Quantile(0.99)}
	if arrive {
		if err := s.sink.Wait(int64(n), 30*time.Second); err != nil {
			return nil, fmt.Errorf("from Postroad to the sink: %w", err)
		}
		f.endToEnd = float64(n) / time.Since(start).Seconds()
		if got, want := s.sink.Signatures(), signatures*int64(n); got < want || want == 0 && got > 0 {
			return nil, fmt.Errorf("%d DKIM signatures on %d messages, want %d", got, n, want)
		}
	}
	s.signal(syscall.SIGUSR2)
	f.driver = cpuOfUs() - us
	f.others = readMachine().others(all, cpuOf(pid)-before+f.driver)
	s.settle()
	f.cpu, f.peak, f.repeated = cpuOf(pid)-before, harness.PeakMemory(pid), s.sink.Repeated()
	return f, nil
}

// buildProfiled builds the server that can profile itself.
func buildProfiled(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "profiled")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/postroad/postroad/bench/profiled")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the profiled server: %w: %s", err, out)
	}
	return path, nil
}

// signal tells the profiled server to begin or end its profile.
func (s *side) signal(sig syscall.Signal) {
	if s.profile != "" {
		_ = syscall.Kill(s.p.Pid(), sig)
	}
}

// warmUp sends a first few, so that routes, keys and sessions are there.
func (s *side) warmUp(ctx context.Context, from string, connections int) error {
	s.sink.Reset()
	a, err := s.load(from, "fast.test", "", 4*connections, connections).Send(ctx)
	if err == nil {
		err = a.Err()
	}
	if err == nil {
		err = s.sink.Wait(int64(4*connections), 15*time.Second)
	}
	if err != nil {
		return fmt.Errorf("first messages: %w", err)
	}
	s.settle()
	return nil
}
