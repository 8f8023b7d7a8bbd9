package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

// figures of one run, of either side.
type figures struct {
	name     string
	messages int
	accepted float64 // a second
	p50, p99 time.Duration
	endToEnd float64       // a second; 0: nothing was to be delivered
	cpu      time.Duration // of the server, whole run
	peak     int64         // resident bytes; 0: not known
	driver   time.Duration // CPU of the load generator and the sink
	others   float64       // share of the cores that something else used
	repeated int64         // arrived more than once
}

// postfixRun is smtp-source → Postfix → sink: the same message size, as many
// connections on both ends, Postfix's own defaults for all else that decides about
// speed and durability. With held set Postfix keeps the mail (HOLD) and delivers nothing.
func postfixRun(ctx context.Context, n, connections int, held bool, source source) (*figures, error) {
	dir, err := os.MkdirTemp("", "postroad-bench-postfix-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := sink.Listen("127.0.0.1:0", sink.Behaviour{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	main := map[string]string{
		"relayhost": "[127.0.0.1]:" + strconv.Itoa(s.Port()), "default_destination_concurrency_limit": strconv.Itoa(siteConnections),
	}
	if held {
		main["smtpd_recipient_restrictions"] = "check_recipient_access static:HOLD, permit_mynetworks, reject"
	}
	p, err := harness.StartPostfix(ctx, harness.PostfixOptions{Dir: dir, Listen: "127.0.0.1:0", Main: main})
	if err != nil {
		return nil, err
	}
	f, err := flood(ctx, p, s, n, connections, held, source)
	if stop := p.Stop(); err == nil {
		err = stop
	}
	return f, err
}

func flood(ctx context.Context, p *harness.Postfix, s *sink.Sink, n, connections int, held bool, source source) (*figures, error) {
	// A first few messages start the daemons, as they would be running on a busy host.
	if _, err := source(ctx, p.Addr, 4*connections, connections); err != nil {
		return nil, err
	}
	if !held {
		if err := s.Wait(int64(4*connections), 30*time.Second); err != nil {
			return nil, err
		}
	}
	s.Reset()
	before, us, all, start := cpuOfFamily(p.Pid()), cpuOfUs(), readMachine(), time.Now()
	f, err := source(ctx, p.Addr, n, connections)
	if err != nil {
		return nil, err
	}
	f.name, f.messages = "Postfix", n
	if f.accepted == 0 {
		f.accepted = float64(n) / time.Since(start).Seconds()
	}
	if held {
		f.name = "Postfix, mail held"
	} else {
		if err := s.Wait(int64(n), 30*time.Second); err != nil {
			return nil, fmt.Errorf("from Postfix to the sink: %w", err)
		}
		f.endToEnd = float64(n) / time.Since(start).Seconds()
	}
	f.cpu, f.driver, f.repeated = cpuOfFamily(p.Pid())-before, cpuOfUs()-us, s.Repeated()
	f.others = readMachine().others(all, f.cpu+f.driver)
	return f, nil
}

// source sends n messages to Postfix and waits for the last reply. It may know more than
// how long that took.
type source func(ctx context.Context, addr string, n, connections int) (*figures, error)

// smtpSource keeps its connections (-d), which is the better case for Postfix.
func smtpSource(ctx context.Context, addr string, n, connections int) (*figures, error) {
	path, err := exec.LookPath("smtp-source")
	if err != nil {
		path = filepath.Join("/usr/sbin", "smtp-source")
	}
	out, err := exec.CommandContext(ctx, path, "-d", "-s", strconv.Itoa(connections), "-m", strconv.Itoa(n),
		"-l", strconv.Itoa(messageSize), "-f", "sender@bench.test", "-t", "user@example.org", addr).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("smtp-source: %w: %s", err, out)
	}
	return &figures{}, nil
}
