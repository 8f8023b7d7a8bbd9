package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postroad/postroad/internal/app"
)

type consoleCommands struct {
	Password consolePassword `cmd:"" help:"Set the console's password, read from standard input, and end all its sessions."`
}

type consolePassword struct{}

// Run is the way back in for an operator who forgot the password. It is read from standard
// input, because what stands on a command line can be seen by others.
func (consolePassword) Run(s *surroundings) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(s.stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return usageFault{errors.New("the new password is read from standard input, and there was none")}
	}
	if err := app.SetPassword(s.ctx, set, password); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, "The password of 'admin' is set; all sessions are ended.")
	return err
}
