package app

import (
	"fmt"
	"io"
	"strings"
)

// announcement is what a start prints on stdout for the person who typed it.
type announcement struct {
	DataDir string
	URL     string // of the console and the API, no slash at the end
	SMTP    string // where submission listens; "" = nowhere
	Secret  string // of the first test key; "" after the first start
	Setup   string // token of the set-up; "" when there is a user
}

// write prints it. At the first start the lines work as they are, copied into a shell:
// the first sends, the second reads the newest message's timeline.
func (a announcement) write(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "\n  Postroad %s\n", ThisBuild().Version)
	fmt.Fprintf(b, "  data      %s\n", a.DataDir)
	if a.Setup != "" {
		fmt.Fprintf(b, "  set up    %s/setup#token=%s\n            (a password for the console: once, within 30 minutes)\n", a.URL, a.Setup)
	}
	if a.SMTP != "" {
		fmt.Fprintf(b, "  smtp      %s   (any user name, an API key as password)\n", a.SMTP)
	}
	if a.Secret == "" {
		fmt.Fprintf(b, "  console   %s/\n  new key   postroad key create --env test\n\n", a.URL)
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(b, "  console   %s/#key=%s\n", a.URL, a.Secret)
	fmt.Fprintf(b, "  test key  %s   (shown this once)\n", a.Secret)
	fmt.Fprintf(b, `
  Send a first message. Mail of a test key lands in the sandbox and never leaves this machine:

curl -s %[1]s/v1/messages -H 'Authorization: Bearer %[2]s' \
  -H 'Content-Type: application/json' \
  -d '{"recipient":"you@sandbox.test","subject":"It works","text":"Hello"}'

  Read its timeline, from queued to delivered:

curl -s %[1]s/v1/messages/$(curl -s '%[1]s/v1/messages?limit=1' -H 'Authorization: Bearer %[2]s' | grep -o 'msg_[0-9a-z]*' | head -n 1)/events \
  -H 'Authorization: Bearer %[2]s'

  Live mail needs one verified sending domain: a live key (postroad key create --env live),
  POST /v1/domains {"name":"example.com"}, the DNS records it answers with, then
  POST /v1/domains/example.com/verify. docs/operations.md has it step by step.

`, a.URL, a.Secret)
	_, err := io.WriteString(w, b.String())
	return err
}
