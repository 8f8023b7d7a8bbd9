package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Postfix is an instance of Debian's Postfix of our own: own configuration, queue and
// data directories, one SMTP port on loopback. The system's own instance is not
// touched, neither are its files.
type Postfix struct {
	Dir  string // holds etc, queue, data
	Addr string // where its smtpd listens
}

// ErrNoPostfix says why no Postfix can be started here.
var ErrNoPostfix = errors.New("no Postfix of our own can be started here")

// PostfixOptions are what an instance differs in.
type PostfixOptions struct {
	Dir    string            // an empty directory that Postfix's own user may pass through (0755)
	Listen string            // "127.0.0.2:2525"; port 0: any free one
	Main   map[string]string // over what is set here
	Log    string            // file; "" = syslog, which costs it least
}

// StartPostfix starts one. Errors that wrap [ErrNoPostfix] mean that it is not
// installed or that we may not (Postfix's master starts as root only).
func StartPostfix(ctx context.Context, o PostfixOptions) (*Postfix, error) {
	if _, err := exec.LookPath("postfix"); err != nil {
		return nil, fmt.Errorf("%w: the postfix command is not installed", ErrNoPostfix)
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: it needs root", ErrNoPostfix)
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPostfix, err)
	}
	addr, err := freePort(o.Listen)
	if err != nil {
		return nil, err
	}
	p := &Postfix{Dir: o.Dir, Addr: addr}
	if err := p.write(owner, o); err != nil {
		return nil, fmt.Errorf("write Postfix's configuration: %w", err)
	}
	if out, err := p.command(ctx, "start"); err != nil {
		return nil, fmt.Errorf("start Postfix: %w: %s", err, out)
	}
	if err := waitForBanner(ctx, addr); err != nil {
		return nil, errors.Join(fmt.Errorf("Postfix does not answer: %w", err), p.Stop())
	}
	return p, nil
}

func (p *Postfix) etc() string { return filepath.Join(p.Dir, "etc") }

func (p *Postfix) write(owner *user.User, o PostfixOptions) error {
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	queue, data := filepath.Join(p.Dir, "queue"), filepath.Join(p.Dir, "data")
	for _, dir := range []string{p.etc(), queue, data} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chown(data, uid, gid); err != nil {
		return err
	}
	settings := map[string]string{
		"compatibility_level": "3.6",
		"queue_directory":     queue,
		"data_directory":      data,
		"inet_interfaces":     "all", // master.cf names the one address
		"inet_protocols":      "ipv4",
		"myhostname":          "postfix.test",
		"mydestination":       "",
		"mynetworks":          "127.0.0.0/8",
		"alias_maps":          "",
		"biff":                "no",
	}
	if o.Log != "" {
		settings["maillog_file"] = o.Log
		settings["maillog_file_prefixes"] = filepath.Dir(o.Log)
	}
	for k, v := range o.Main {
		settings[k] = v
	}
	var main strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&main, "%s = %s\n", k, v)
	}
	if err := os.WriteFile(filepath.Join(p.etc(), "main.cf"), []byte(main.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.etc(), "master.cf"), []byte(p.Addr+masterServices), 0o644)
}

// masterServices is Debian's master.cf without chroot and without what nobody here
// uses. It begins behind the address of its first service.
const masterServices = ` inet  n - n - -    smtpd
cleanup   unix  n - n - 0    cleanup
qmgr      unix  n - n 300 1  qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - -    trivial-rewrite
bounce    unix  - - n - 0    bounce
defer     unix  - - n - 0    bounce
trace     unix  - - n - 0    bounce
verify    unix  - - n - 1    verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - -    proxymap
smtp      unix  - - n - -    smtp
relay     unix  - - n - -    smtp
showq     unix  n - n - -    showq
error     unix  - - n - -    error
retry     unix  - - n - -    error
discard   unix  - - n - -    discard
local     unix  - n n - -    local
virtual   unix  - n n - -    virtual
lmtp      unix  - - n - -    lmtp
anvil     unix  - - n - 1    anvil
scache    unix  - - n - 1    scache
postlog   unix-dgram n - n - 1 postlogd
`

func (p *Postfix) command(ctx context.Context, verb string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "postfix", "-c", p.etc(), verb)
	// The daemons keep our pipes open: what it says goes to a file.
	log, err := os.CreateTemp(p.Dir, "postfix-"+verb+"-*")
	if err != nil {
		return "", err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Run()
	text, _ := os.ReadFile(log.Name())
	return strings.TrimSpace(string(text)), err
}

// Stop ends it and waits until its master is gone.
func (p *Postfix) Stop() error {
	pid := p.Pid()
	out, err := p.command(context.Background(), "stop")
	for range int(Patience / (25 * time.Millisecond)) {
		if pid == 0 || !alive(pid) {
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	if _, err := p.command(context.Background(), "abort"); err != nil {
		return fmt.Errorf("abort Postfix: %w", err)
	}
	return fmt.Errorf("stop Postfix: it had to be aborted: %v %s", err, out)
}

// Pid is its master's, 0 when it does not run.
func (p *Postfix) Pid() int {
	text, err := os.ReadFile(filepath.Join(p.Dir, "queue", "pid", "master.pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

func alive(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}

// waitForBanner returns when an SMTP server greets at address.
func waitForBanner(ctx context.Context, address string) error {
	var last error
	for range int(Patience / (50 * time.Millisecond)) {
		if last = greeted(ctx, address); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return last
}

func greeted(ctx context.Context, address string) error {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err == nil && !strings.HasPrefix(string(b[:n]), "220") {
		err = fmt.Errorf("greeted with %q", b[:n])
	}
	if err == nil {
		_, _ = c.Write([]byte("QUIT\r\n"))
	}
	return err
}
