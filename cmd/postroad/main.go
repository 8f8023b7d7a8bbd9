// Command postroad is the whole platform in one binary: `postroad serve`. The other
// commands make keys, send a message, play a mail exchanger, and look for trouble.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage. An error is one plain sentence on stderr.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/postroad/postroad/internal/config"
)

// commands is the command line; each field's type has a Run method.
type commands struct {
	Config string `name:"config" short:"c" env:"POSTROAD_CONFIG" type:"path" placeholder:"FILE" help:"Settings file (default ./postroad.yaml when it is there)."`

	Serve   serveCommand    `cmd:"" help:"Run everything: HTTP API and console, delivery."`
	Key     keyCommands     `cmd:"" help:"API keys."`
	Console consoleCommands `cmd:"" help:"The console's login."`
	Send    sendCommand     `cmd:"" help:"Send a message through the API."`
	Sink    sinkCommand     `cmd:"" help:"Run a scripted mail exchanger for your own tests."`
	Reports reportsCommand  `cmd:"" help:"What came back by mail: bounces, complaints."`
	Doctor  doctorCommand   `cmd:"" help:"Check what would stop mail, each fault with its fix."`
	Setting settingCommand  `cmd:"" name:"config" help:"The settings."`
	Migrate migrateCommand  `cmd:"" help:"The database's schema."`
	Backup  backupCommand   `cmd:"" help:"Copy the data directory into one file, while it is served or not."`
	Restore restoreCommand  `cmd:"" help:"Unpack a backup into an empty data directory."`
	Version versionCommand  `cmd:"" help:"Print version, commit and Go version."`
}

// surroundings is what a command may touch of the world; tests hand in their own.
type surroundings struct {
	ctx        context.Context
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer
	environ    []string
	configFile string
}

func main() {
	os.Exit(execute(&surroundings{ctx: context.Background(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}, os.Args[1:]))
}

// execute runs one command line and gives the exit code.
func execute(s *surroundings, args []string) int {
	var c commands
	left := -1 // the code kong wants to leave with, after --help
	parser, err := kong.New(&c, kong.Name("postroad"), kong.Description("A self-hosted transactional e-mail platform."),
		kong.Writers(s.stdout, s.stderr), kong.Exit(func(code int) { left = code }), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the struct above is wrong: every run fails
	}
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "help":
		args = append(args[1:len(args):len(args)], "--help")
	}
	parsed, err := parser.Parse(args)
	if left >= 0 {
		return left
	}
	if err != nil {
		return complain(s.stderr, misused(err))
	}
	s.configFile = c.Config
	return complain(s.stderr, parsed.Run(s))
}

// usageFault is an error of whoever typed the command.
type usageFault struct{ error }

// misused says where to read about the command that was typed, as far as it was understood.
func misused(err error) error {
	command := "postroad"
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		for _, step := range parse.Context.Path {
			if step.Command != nil {
				command += " " + step.Command.Name
			}
		}
	}
	return usageFault{fmt.Errorf("%w; see %s --help", err, command)}
}

// errQuiet is a failure whose reason was printed already.
var errQuiet = errors.New("failed")

// complain prints an error and gives the exit code that goes with it.
func complain(w io.Writer, err error) int {
	var usage usageFault
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		text := usage.Error()
		if !strings.HasSuffix(text, " --help") {
			text += "; see postroad --help"
		}
		fmt.Fprintf(w, "postroad: %s\n", text)
		return 2
	case errors.Is(err, errQuiet):
		return 1
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "postroad: %s\n", line)
	}
	return 1
}

// settings reads the operator's settings.
func (s *surroundings) settings() (*config.Settings, error) {
	return config.Load(s.configFile, s.environ)
}

// getenv reads one variable of the surroundings.
func (s *surroundings) getenv(name string) string {
	for _, line := range s.environ {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}
