package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/postroad/postroad/internal/persona"
)

type sinkCommand struct {
	Listen  string `default:"127.0.0.1:2525" help:"Address to listen at."`
	Persona string `default:"plain" help:"Name of a built-in persona, or a file with a dialogue."`
	List    bool   `help:"Print the names of the built-in personas."`
	Quiet   bool   `short:"q" help:"Do not print the dialogue."`
}

// Run plays a mail exchanger until a signal, and prints what is said and what arrives.
func (c sinkCommand) Run(s *surroundings) error {
	if c.List {
		fmt.Fprintln(s.stdout, strings.Join(persona.Names(), "\n"))
		return nil
	}
	script, err := persona.Load(c.Persona)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	server, err := persona.Listen(c.Listen, script, c.options(s))
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "postroad: %s listens at %s\n", c.Persona, server.Addr())
	select {
	case <-signals:
	case <-s.ctx.Done():
	}
	return server.Close()
}

func (c sinkCommand) options(s *surroundings) persona.Options {
	o := persona.Options{OnMessage: func(m persona.Received) {
		secure := "in clear"
		if m.TLS != "" {
			secure = m.TLS
		}
		fmt.Fprintf(s.stdout, "received %s from <%s> for <%s>, %d bytes, %s\n", m.MessageID, m.From, strings.Join(m.To, ">, <"), m.Size, secure)
	}}
	if !c.Quiet {
		o.Trace = s.stdout
	}
	return o
}
