package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	client "github.com/postroad/postroad/clients/go"
)

type sendCommand struct {
	To       []string      `required:"" placeholder:"ADDRESS" help:"Recipient; may be given several times."`
	From     string        `help:"Sender. Test keys need none."`
	Subject  string        `help:"Subject."`
	Text     string        `help:"Text; \"-\" reads it from the standard input."`
	HTML     string        `name:"html" type:"existingfile" placeholder:"FILE" help:"File with the HTML part."`
	Template string        `help:"Template alias or id, instead of text and HTML."`
	Data     string        `placeholder:"JSON" help:"Variables of the template."`
	Tag      []string      `help:"Tag; may be given several times."`
	Priority string        `enum:"urgent,normal,bulk," default:"" help:"urgent, normal or bulk."`
	Once     string        `name:"idempotency-key" placeholder:"KEY" help:"Idempotency key (default: a new one, so that the retries of this command send once)."`
	Wait     string        `enum:"accepted,delivered,bounced," default:"" placeholder:"STATUS" help:"Wait for accepted, delivered or bounced, and print the timeline."`
	Timeout  time.Duration `default:"60s" help:"How long to wait."`
	URL      string        `name:"url" help:"The server (POSTROAD_URL or POSTROAD_BASE_URL; default http://127.0.0.1:8080)."`
	Key      string        `help:"API key (better: POSTROAD_API_KEY, which other users of this host cannot see)."`
}

// Run sends one message as any client of the API does and prints its id on stdout. With
// --wait its events follow as they come, and another end than the one waited for is a
// failure.
func (c sendCommand) Run(s *surroundings) error {
	server, err := c.client(s)
	if err != nil {
		return err
	}
	message, err := c.message(s.stdin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, c.Timeout)
	defer cancel()
	sent, err := server.Messages.Send(ctx, message)
	if err != nil {
		return inWords(err)
	}
	fmt.Fprintln(s.stdout, sent.MessageID)
	for _, w := range sent.Warnings {
		fmt.Fprintln(s.stderr, "postroad: "+w.Message)
	}
	if c.Wait == "" {
		return nil
	}
	return c.follow(ctx, server.Messages, sent.MessageID, s.stdout)
}

func (c sendCommand) client(s *surroundings) (*client.Client, error) {
	base, key := c.URL, c.Key
	for _, name := range []string{"POSTROAD_URL", "POSTROAD_BASE_URL"} {
		if base == "" {
			base = s.getenv(name)
		}
	}
	if key == "" {
		key = s.getenv("POSTROAD_API_KEY")
	}
	if key == "" {
		return nil, usageFault{errors.New("a key is needed: set POSTROAD_API_KEY, or make one with `postroad key create --env test`")}
	}
	server, err := client.New(client.WithBaseURL(base), client.WithAPIKey(key), client.WithUserAgent("postroad-send"))
	if err != nil {
		return nil, usageFault{errors.New(strings.TrimPrefix(err.Error(), "postroad: "))}
	}
	return server, nil
}

// message is what to send. The server judges it.
func (c sendCommand) message(stdin io.Reader) (m client.Message, err error) {
	m = client.Message{To: c.To, From: c.From, Subject: c.Subject, Text: c.Text, Template: c.Template, Tags: c.Tag, Priority: c.Priority, IdempotencyKey: c.Once}
	if c.Text == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, 10<<20+1))
		if err != nil {
			return m, fmt.Errorf("read the text: %w", err)
		}
		m.Text = string(text)
	}
	if c.HTML != "" {
		html, err := os.ReadFile(c.HTML)
		if err != nil {
			return m, fmt.Errorf("read the HTML: %w", err)
		}
		m.HTML = string(html)
	}
	if c.Data != "" {
		if !json.Valid([]byte(c.Data)) {
			return m, usageFault{errors.New("--data is not JSON")}
		}
		m.TemplateData = json.RawMessage(c.Data)
	}
	return m, nil
}

// Between two looks at a message that is waited for.
const (
	firstLook = 100 * time.Millisecond
	laterLook = 2 * time.Second
)

// follow prints the events of a message until its status is the one waited for.
func (c sendCommand) follow(ctx context.Context, messages *client.Messages, id string, w io.Writer) error {
	shown, status := 0, "on its way"
	for wait := firstLook; ; wait = min(wait*5/4, laterLook) {
		message, err := messages.Get(ctx, id)
		if err != nil {
			return c.late(ctx, status, err)
		}
		status = message.Status
		events, err := messages.Events(ctx, id)
		if err != nil {
			return c.late(ctx, status, err)
		}
		for ; shown < len(events); shown++ {
			e := events[shown]
			fmt.Fprintf(w, "%s  %-10s  %s  %s\n", e.At.Format("2006-01-02T15:04:05.000Z07:00"), strings.TrimPrefix(e.Type, "message."), e.Recipient, e.Summary)
		}
		if status == c.Wait || c.Wait == "accepted" && status == client.StatusDelivered {
			return nil
		}
		if client.Final(status) {
			return fmt.Errorf("the message is %s", status)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return c.late(ctx, status, ctx.Err())
		}
	}
}

// late tells an error of a look, or that the time to wait is over.
func (c sendCommand) late(ctx context.Context, status string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("after %v the message is still %s", c.Timeout, status)
	}
	return inWords(err)
}

// inWords puts a failure into a sentence, and each field's fault on a line.
func inWords(err error) error {
	var e *client.Error
	if !errors.As(err, &e) {
		return err
	}
	text := e.Message
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	lines := []string{text}
	for _, f := range e.Errors {
		lines = append(lines, f.Field+": "+f.Message)
	}
	return errors.New(strings.Join(lines, "\n"))
}
