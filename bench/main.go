package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postroad/postroad/bench/sink"
	"github.com/postroad/postroad/test/harness"
)

// plan is what was asked for on the command line.
type plan struct {
	messages    int
	connections int
	postfix     int // messages through Postfix
	waiting     int // of the stuck destination
	bulk        int // to be overtaken
	only        []string
	profiles    string // directory, "" = none
	out         *os.File
	results     results
}

// parts of a run, in order.
var parts = []string{"postfix", "postfix-held", "unsigned", "scheduled", "p99", "smtp", "smtp-delivering", "smtp-postfix", "raw", "rsa", "ed25519", "both", "stuck", "overtake", "render"}

// siteConnections is how many connections both systems may have to the sink (both have 20
// without a setting).
const siteConnections = 50

func main() {
	p := &plan{out: os.Stdout, results: results{runs: map[string]*figures{}}}
	flag.IntVar(&p.messages, "n", 40_000, "messages of each run (an eighth with RSA)")
	flag.IntVar(&p.connections, "connections", 50, "connections of the load generators")
	flag.IntVar(&p.postfix, "postfix", 6000, "messages through Postfix")
	flag.IntVar(&p.waiting, "waiting", 200_000, "messages waiting for the stuck destination")
	flag.IntVar(&p.bulk, "bulk", 110_000, "bulk messages for urgent ones to overtake")
	flag.StringVar(&p.profiles, "profiles", "", "write CPU and allocation profiles of Postroad's runs into this directory; costs some percent")
	only := flag.String("only", strings.Join(parts, ","), "which parts, by name")
	flag.Parse()
	p.only = strings.Split(*only, ",")
	for _, name := range p.only {
		if !slices.Contains(parts, name) {
			fmt.Fprintf(os.Stderr, "there is no part %q; there are %s\n", name, strings.Join(parts, ", "))
			os.Exit(2)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := p.run(ctx)
	fmt.Fprintln(p.out)
	if met := p.results.judge(p.out); err != nil || !met {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

// run goes through the parts; one that fails does not keep the others from being
// measured.
func (p *plan) run(ctx context.Context) error {
	fmt.Fprintf(p.out, "%s, %d cores, %d-byte messages, %d connections, everything on loopback of one machine\n\n",
		runtime.Version(), runtime.GOMAXPROCS(0), messageSize, p.connections)
	heading(p.out)
	var errs []error
	for _, name := range parts {
		if !slices.Contains(p.only, name) || ctx.Err() != nil {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, 3*time.Minute)
		if err := p.part(limited, name); err != nil {
			fmt.Fprintf(p.out, "%-26s %v\n", name, err)
			if !errors.Is(err, harness.ErrNoPostfix) {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
		cancel()
	}
	return errors.Join(errs...)
}

func (p *plan) part(ctx context.Context, name string) (err error) {
	switch name {
	case "raw":
		if p.results.raw, err = signRaw(3 * time.Second); err == nil {
			fmt.Fprintf(p.out, "%-26s %.0f signatures/s on all cores\n", "raw RSA-2048", p.results.raw)
		}
		return err
	case "render":
		if p.results.render, err = measureRendering(ctx, 3*time.Second); err == nil {
			p.results.render.print(p.out)
		}
		return err
	case "stuck":
		if p.results.stuck, err = measureStuck(ctx, p.waiting, p.connections); err == nil {
			p.results.stuck.print(p.out)
		}
		return err
	case "overtake":
		if p.results.overtake, err = measureOvertaking(ctx, p.bulk, p.connections); err == nil {
			p.results.overtake.print(p.out)
		}
		return err
	}
	f, err := p.figures(ctx, name)
	if err == nil {
		p.results.runs[name] = f
		f.print(p.out)
	}
	return err
}

// figures makes one run of either side, each on fresh data.
func (p *plan) figures(ctx context.Context, name string) (*figures, error) {
	if name == "postfix" || name == "postfix-held" {
		return postfixRun(ctx, p.postfix, p.connections, name == "postfix-held", smtpSource)
	}
	if name == "smtp-postfix" {
		f, err := postfixRun(ctx, p.postfix, p.connections, true, ownSource)
		if f != nil {
			f.name = "Postfix, same generator"
		}
		return f, err
	}
	profile := ""
	if p.profiles != "" {
		absolute, err := filepath.Abs(p.profiles)
		if err == nil {
			err = os.MkdirAll(absolute, 0o755)
		}
		if err != nil {
			return nil, err
		}
		profile = filepath.Join(absolute, name+".cpu")
	}
	s, err := openSide(ctx, sink.Behaviour{}, profile)
	if err != nil {
		return nil, err
	}
	defer s.close()
	switch name {
	case "rsa", "both":
		return s.run(ctx, name, p.messages/8, p.connections, false)
	case "ed25519", "unsigned":
		return s.run(ctx, name, p.messages, p.connections, false)
	case "smtp", "smtp-delivering":
		return s.mail(ctx, p.messages, p.connections, name == "smtp")
	case "scheduled":
		return s.run(ctx, "unsigned", p.messages, p.connections, true)
	default: // p99
		f, err := s.run(ctx, "unsigned", p.messages, 100, false)
		if f != nil {
			f.name = "Postroad, 100 connections"
		}
		return f, err
	}
}
