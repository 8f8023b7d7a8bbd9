package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
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
	URL      string        `name:"url" help:"The server (POSTROAD_URL; default http://127.0.0.1:8080)."`
	Key      string        `help:"API key (better: POSTROAD_API_KEY, which other users of this host cannot see)."`
}

// Run sends one message as any client of the API does and prints its id on stdout. With
// --wait its events follow as they come, and another end than the one waited for is a
// failure.
func (c sendCommand) Run(s *surroundings) error {
	api, err := c.client(s)
	if err != nil {
		return err
	}
	request, err := c.request(s.stdin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, c.Timeout)
	defer cancel()
	once := c.Once
	if once == "" {
		once = rand.Text()
	}
	var made struct {
		ID       string `json:"message_id"`
		Warnings []struct{ Message string }
	}
	if err := api.call(ctx, "POST", "/v1/messages", once, request, &made); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, made.ID)
	for _, w := range made.Warnings {
		fmt.Fprintln(s.stderr, "postroad: "+w.Message)
	}
	if c.Wait == "" {
		return nil
	}
	return c.follow(ctx, api, made.ID, s.stdout)
}

func (c sendCommand) client(s *surroundings) (*client, error) {
	base, key := c.URL, c.Key
	if base == "" {
		base = s.getenv("POSTROAD_URL")
	}
	if base == "" {
		base = "http://127.0.0.1:8080"
	}
	if key == "" {
		key = s.getenv("POSTROAD_API_KEY")
	}
	if key == "" {
		return nil, usageFault{errors.New("a key is needed: set POSTROAD_API_KEY, or make one with `postroad key create --env test`")}
	}
	if u, err := url.Parse(base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageFault{fmt.Errorf("--url %q is not an address like http://127.0.0.1:8080", base)}
	}
	return &client{base: strings.TrimRight(base, "/"), key: key}, nil
}

// request is the body of POST /v1/messages. The server judges it.
func (c sendCommand) request(stdin io.Reader) (map[string]any, error) {
	m := map[string]any{"to": c.To}
	for field, text := range map[string]string{"from": c.From, "subject": c.Subject, "template": c.Template, "priority": c.Priority, "text": c.Text} {
		if text != "" {
			m[field] = text
		}
	}
	if c.Text == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, 10<<20+1))
		if err != nil {
			return nil, fmt.Errorf("read the text: %w", err)
		}
		m["text"] = string(text)
	}
	if c.HTML != "" {
		html, err := os.ReadFile(c.HTML)
		if err != nil {
			return nil, fmt.Errorf("read the HTML: %w", err)
		}
		m["html"] = string(html)
	}
	if c.Data != "" {
		if !json.Valid([]byte(c.Data)) {
			return nil, usageFault{errors.New("--data is not JSON")}
		}
		m["template_data"] = json.RawMessage(c.Data)
	}
	if len(c.Tag) > 0 {
		m["tags"] = c.Tag
	}
	return m, nil
}

// follow prints the events of a message until its status is the one waited for.
func (c sendCommand) follow(ctx context.Context, api *client, id string, w io.Writer) error {
	path, shown := "/v1/messages/"+url.PathEscape(id), 0
	for {
		var list struct {
			Data []struct{ At, Type, Recipient, Summary string }
		}
		var message struct{ Status string }
		if err := api.call(ctx, "GET", path, "", nil, &message); err != nil {
			return err
		}
		if err := api.call(ctx, "GET", path+"/events", "", nil, &list); err != nil {
			return err
		}
		for ; shown < len(list.Data); shown++ {
			e := list.Data[shown]
			fmt.Fprintf(w, "%s  %-10s  %s  %s\n", e.At, strings.TrimPrefix(e.Type, "message."), e.Recipient, e.Summary)
		}
		if message.Status == c.Wait || c.Wait == "accepted" && message.Status == "delivered" {
			return nil
		}
		if final(message.Status) {
			return fmt.Errorf("the message is %s", message.Status)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("after %v the message is still %s", c.Timeout, message.Status)
		}
	}
}

func final(status string) bool {
	switch status {
	case "scheduled", "queued", "accepted", "deferred", "held":
		return false
	}
	return true
}

// client speaks to one server with one key.
type client struct{ base, key string }

// tries of one call; the waits between double from firstWait.
const (
	tries     = 5
	firstWait = 250 * time.Millisecond
)

// call makes a request and reads the answer. What may help by trying again is tried
// again: no connection, 429, 409 idempotency_in_progress, 503 and other 5xx; a POST is
// safe to repeat because of its idempotency key.
func (c *client) call(ctx context.Context, method, path, once string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	wait := firstWait
	for try := 1; ; try++ {
		after, err := c.once(ctx, method, path, once, text, answer)
		if err == nil || after < 0 || try == tries {
			return err
		}
		select {
		case <-time.After(max(wait, after)):
			wait *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// once makes one request. A negative duration says that trying again would not help.
func (c *client) once(ctx context.Context, method, path, once string, body []byte, answer any) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if once != "" {
		r.Header.Set("Idempotency-Key", once)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, fmt.Errorf("the server cannot be reached: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return 0, fmt.Errorf("the answer broke off: %w", err)
	}
	if res.StatusCode/100 == 2 {
		if err := json.Unmarshal(text, answer); err != nil {
			return -1, fmt.Errorf("the server answered %s, and not in JSON", res.Status)
		}
		return 0, nil
	}
	return retryAfter(res), refusal(res.Status, text)
}

func retryAfter(res *http.Response) time.Duration {
	inProgress := res.StatusCode == http.StatusConflict && res.Header.Get("Retry-After") != ""
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode < 500 && !inProgress {
		return -1
	}
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// refusal puts a problem (RFC 9457) into a sentence, and each field's fault on a line.
func refusal(status string, text []byte) error {
	var p struct {
		Code, Detail string
		Errors       []struct{ Field, Message string }
	}
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the server answered %s", status)
	}
	lines := []string{fmt.Sprintf("%s (%s)", strings.TrimSuffix(p.Detail, "."), p.Code)}
	for _, e := range p.Errors {
		lines = append(lines, e.Field+": "+e.Message)
	}
	return errors.New(strings.Join(lines, "\n"))
}
