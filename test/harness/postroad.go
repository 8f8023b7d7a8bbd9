package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The keys of every Postroad started here.
const (
	LiveKey = "live-key-of-the-scenarios-0000000000000000"
	TestKey = "test-key-of-the-scenarios-0000000000000000"
)

// Options of one Postroad.
type Options struct {
	Dir  string            // holds its data and logs
	Env  map[string]string // settings over the harness' own; an empty value leaves one out
	Bare bool              // no settings but Env: as a new user starts it
	Path string            // of the binary; "" = what Binary builds
}

// Postroad is a process of ours.
type Postroad struct {
	Dir  string
	Addr string // of its HTTP door
	SMTP string // address of its submission door, "" when Env closed it
	// Inbound is the address of its door for reports, "" unless Env has POSTROAD_INBOUND_ADDR;
	// port 0 there is any free one, the same after a restart.
	Inbound string
	URL     string

	env    map[string]string
	binary string
	client *http.Client
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process is gone
	starts int           // numbers the log files

	foreign  bool // another version's binary: the description is not of it
	judging  sync.Mutex
	breaches []error
}

// readyWithin bounds how long a start may take, on a machine busy with other tests.
const readyWithin = 2 * Patience

// Patience is the least that any wait of a scenario takes before it gives up: a machine that stalls or is
// shared passes each shorter one while nothing is wrong. How fast something must be is measured, not waited for.
const Patience = time.Minute

// Start launches a Postroad for a test and ends it with the test. When the test failed,
// the end of its log is shown.
func Start(t testing.TB, o Options) *Postroad {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	p, err := Launch(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		for _, err := range p.Breaches() {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of Postroad's log:\n%s", tail(p.Log(), 40))
		}
	})
	return p
}

// Launch starts a Postroad and waits until it is ready.
func Launch(ctx context.Context, o Options) (*Postroad, error) {
	binary, err := o.Path, error(nil)
	if binary == "" {
		if binary, err = Binary(); err != nil {
			return nil, err
		}
	}
	addr, err := freePort("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	smtp, err := freePort("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	if !o.Bare {
		env = map[string]string{
			"POSTROAD_DATA_DIR":           filepath.Join(o.Dir, "data"),
			"POSTROAD_HTTP_ADDR":          addr,
			"POSTROAD_SUBMISSION_ADDR":    smtp,
			"POSTROAD_HOSTNAME":           "mail.postroad.test",
			"POSTROAD_BOOTSTRAP_LIVE_KEY": LiveKey,
			"POSTROAD_BOOTSTRAP_TEST_KEY": TestKey,
			"POSTROAD_RATE_LIMIT":         "0",
		}
	}
	for k, v := range o.Env {
		if env[k] = v; v == "" {
			delete(env, k)
		}
	}
	inbound := env["POSTROAD_INBOUND_ADDR"]
	if inbound != "" && inbound != "off" {
		if inbound, err = freePort(inbound); err != nil {
			return nil, err
		}
		env["POSTROAD_INBOUND_ADDR"] = inbound
	}
	if a := env["POSTROAD_HTTP_ADDR"]; a != "" {
		addr = a
	} else {
		addr = "127.0.0.1:8080"
	}
	if smtp = env["POSTROAD_SUBMISSION_ADDR"]; smtp == "off" {
		smtp = ""
	}
	p := &Postroad{foreign: o.Path != "" || os.Getenv("POSTROAD_TEST_BINARY") != "", Dir: o.Dir, Addr: addr, SMTP: smtp, Inbound: inbound, URL: "http://" + addr, env: env, binary: binary, client: &http.Client{
		Timeout:   3 * Patience,
		Transport: &http.Transport{MaxIdleConnsPerHost: 200},
	}}
	if err := p.spawn(); err != nil {
		return nil, err
	}
	if err := p.AwaitReady(ctx); err != nil {
		p.Kill()
		return nil, fmt.Errorf("%w\n%s", err, tail(p.Log(), 40))
	}
	return p, nil
}

// spawn starts the process; its standard output and error go to numbered files.
func (p *Postroad) spawn() error {
	p.starts++
	out, err := os.Create(filepath.Join(p.Dir, fmt.Sprintf("stdout.%d", p.starts)))
	if err != nil {
		return err
	}
	defer out.Close()
	log, err := os.Create(filepath.Join(p.Dir, fmt.Sprintf("stderr.%d", p.starts)))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.binary, "serve")
	cmd.Dir = p.Dir // a ./postroad.yaml lying about must not change a test
	cmd.Stdout, cmd.Stderr = out, log
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "POSTROAD_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed test leaves nothing behind
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postroad: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	p.cmd, p.ended = cmd, ended
	return nil
}

// AwaitReady returns when /readyz says yes.
func (p *Postroad) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, "GET", p.URL+"/readyz", nil)
		if res, err := p.client.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("postroad is not ready after %v", readyWithin)
		case <-p.ended:
			return errors.New("postroad ended before it was ready")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Pid is the process' number.
func (p *Postroad) Pid() int { return p.cmd.Process.Pid }

// Kill is kill -9; it returns when the process is gone.
func (p *Postroad) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.client.CloseIdleConnections()
}

// Stop is the soft stop (SIGTERM). It tells the exit code, or an error when the process
// is still there after patience, at least [Patience]; then it is killed.
func (p *Postroad) Stop(patience time.Duration) (int, error) {
	return p.StopBy(syscall.SIGTERM, patience)
}

// StopBy is Stop by another signal.
func (p *Postroad) StopBy(signal syscall.Signal, patience time.Duration) (int, error) {
	patience = max(patience, Patience)
	_ = p.cmd.Process.Signal(signal)
	defer p.client.CloseIdleConnections()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		p.Kill()
		return -1, fmt.Errorf("still running %v after %v", patience, signal)
	}
}

// Restart starts another process on the same data, with the same settings.
func (p *Postroad) Restart() error {
	if err := p.spawn(); err != nil {
		return err
	}
	return p.AwaitReady(context.Background())
}

// Log is what the processes wrote on standard error, oldest first.
func (p *Postroad) Log() string { return p.written("stderr") }

// Printed is what they wrote on standard output.
func (p *Postroad) Printed() string { return p.written("stdout") }

func (p *Postroad) written(name string) string {
	var all strings.Builder
	for n := range p.starts {
		text, _ := os.ReadFile(filepath.Join(p.Dir, fmt.Sprintf("%s.%d", name, n+1)))
		all.Write(text)
	}
	return all.String()
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}
