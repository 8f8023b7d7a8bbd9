package config

import (
	"fmt"
	"io"
	"strings"
)

// sectionWords head the parts of the reference.
var sectionWords = map[string]string{
	"Storage":    "Where mail is kept",
	"HTTP":       "The API and the console",
	"Keys":       "Keys and the login made at first start",
	"Delivery":   "The way to the recipients' servers",
	"Submission": "The door for what speaks SMTP",
	"Inbound":    "The door for reports about our mail",
	"Hooks":      "Webhooks",
	"Hyvor":      "The Hyvor Relay dialect",
	"Running":    "The process",
}

// Describe prints the reference: every setting with its words, its environment name and
// its default, as Markdown whose code is a working postroad.yaml.
func Describe(w io.Writer) error {
	b := &strings.Builder{}
	b.WriteString(`# Settings

One YAML file (` + "`--config`, default `./postroad.yaml`" + ` when it is there) and the environment over it.
A value commented out is the default. Lists are YAML lists, or values with commas between.
Unknown names are refused. This page is printed by ` + "`postroad config describe`" + `.
`)
	section := ""
	for _, f := range fields(&Settings{}) {
		if f.section != section {
			if section != "" {
				b.WriteString("```\n")
			}
			section = f.section
			fmt.Fprintf(b, "\n## %s\n\n```yaml\n", sectionWords[section])
		} else {
			b.WriteString("\n")
		}
		describeField(b, f)
	}
	b.WriteString("```\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func describeField(b *strings.Builder, f field) {
	for _, line := range wrap(f.is, 96) {
		b.WriteString("# " + line + "\n")
	}
	b.WriteString("# Environment: " + f.env)
	if f.secret {
		b.WriteString(", or " + f.env + "_FILE naming a file (here: " + f.key + "_file)")
	}
	b.WriteString("\n#" + f.key + ":")
	switch {
	case f.preset != "":
		b.WriteString(" " + quoted(f.preset))
	case f.unset != "":
		b.WriteString(" # " + f.unset)
	}
	b.WriteString("\n")
}

// quoted writes a value so that YAML reads it as the text it is.
func quoted(s string) string {
	if strings.ContainsAny(s, ":#,[]{}&*!|>'\"%@`") {
		return `"` + s + `"`
	}
	return s
}

// wrap breaks a text at spaces into lines of at most width characters.
func wrap(s string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
