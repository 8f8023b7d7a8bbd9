package smtp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Stage is the step of the conversation something happened at: the last thing said.
type Stage string

const (
	StageConnect  Stage = "connect" // before the banner; used by whoever dials
	StageBanner   Stage = "banner"
	StageHello    Stage = "ehlo"
	StageStartTLS Stage = "starttls"
	StageAuth     Stage = "auth"
	StageMail     Stage = "mail"
	StageRcpt     Stage = "rcpt"
	StageData     Stage = "data"    // the DATA command
	StageContent  Stage = "content" // sending the message, before its final dot was out
	StageDot      Stage = "dot"     // the final dot is out: the site may have the message
)

// waitingFor is what we were about when a fault of that stage happened.
var waitingFor = map[Stage]string{
	StageConnect: "connecting", StageBanner: "waiting for the banner", StageHello: "waiting for the reply to EHLO",
	StageStartTLS: "starting TLS", StageAuth: "waiting for the reply to AUTH", StageMail: "waiting for the reply to MAIL", StageRcpt: "waiting for the reply to RCPT",
	StageData: "waiting for the reply to DATA", StageContent: "sending the message", StageDot: "waiting for the reply after the final dot",
}

// ErrProtocol is wrapped by faults of a site that does not speak SMTP: replies without
// a code, without an end, or out of place.
var ErrProtocol = errors.New("this is not SMTP")

// ErrContent is wrapped by faults of our own: the message's bytes could not be read.
var ErrContent = errors.New("the content cannot be read")

// ErrAddress is wrapped by faults of our own: an address that no command can hold.
var ErrAddress = errors.New("an address cannot be written in a command")

var errResetRefused = errors.New("the site refused to go on")

// Fault is how a conversation broke. What the site said in words is a mail.Reply, not a Fault.
type Fault struct {
	Stage Stage
	Err   error
	Cut   bool // we broke it: the ctx ended
}

func (f *Fault) Error() string {
	return explain(f.Err) + " while " + waitingFor[f.Stage]
}

func (f *Fault) Unwrap() error { return f.Err }

// explain puts the usual network errors into words without addresses and system jargon.
func explain(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return "the connection was closed by the other side"
	case errors.Is(err, syscall.ECONNRESET):
		return "the connection was reset by the other side"
	case errors.Is(err, net.ErrClosed):
		return "the connection was closed by us"
	}
	return err.Error()
}

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
}
