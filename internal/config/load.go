package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/mail"
)

// DefaultFile is read when it is there and no other was named.
const DefaultFile = "./postroad.yaml"

// Fault is one thing wrong with what the operator wrote.
type Fault struct {
	Where   string // "postroad.yaml:3: data_dir", or the environment variable
	Message string
}

// Faults is all of them, one a line.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Where + ": " + one.Message
	}
	return strings.Join(lines, "\n")
}

// reading collects one Load.
type reading struct {
	fields []field
	byKey  map[string]*field
	where  map[string]string // key → where its value came from
	faults Faults
	notes  []string
}

// Load reads the file (DefaultFile when the name is empty, and then only if it is there)
// and the environment ("NAME=value") over it. The error is a [Faults] with every fault,
// or that the file cannot be read.
func Load(file string, environ []string) (*Settings, error) {
	s := &Settings{}
	r := &reading{fields: fields(s), byKey: map[string]*field{}, where: map[string]string{}}
	for i := range r.fields {
		f := &r.fields[i]
		r.byKey[f.key] = f
		if err := set(f.to, f.preset); err != nil && f.preset != "" {
			panic("config: default of " + f.key + ": " + err.Error())
		}
	}
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	if file == "" {
		file = DefaultFile
	}
	r.readYAML(strings.TrimPrefix(file, "./"), text)
	r.readEnvironment(environ)
	r.judge(s)
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	s.Notes = r.notes
	return s, nil
}

func readFile(file string) ([]byte, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the settings: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(DefaultFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return text, nil
}

func (r *reading) fault(where, format string, args ...any) {
	r.faults = append(r.faults, Fault{where, fmt.Sprintf(format, args...)})
}

// put takes the text for one key. File values come first, so the environment wins. An
// empty text is no setting: container set-ups pass empty variables for "not set".
func (r *reading) put(f *field, where, text string) {
	if text == "" {
		return
	}
	r.where[f.key] = where
	if err := set(f.to, text); err != nil {
		r.fault(where, "%s", err)
	}
}

// putFile takes the text of a secret from a file, without its last line end.
func (r *reading) putFile(f *field, where, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		r.fault(where, "cannot be read: %s", reason(err))
		return
	}
	r.put(f, where, strings.TrimRight(string(text), "\r\n"))
}

// reason is a file error without the name, which the fault has already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Path + ": " + p.Err.Error()
	}
	return err.Error()
}

func (r *reading) readEnvironment(environ []string) {
	slices.Sort(environ) // faults in a steady order
	given := map[string]bool{}
	for _, line := range environ {
		name, text, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, "POSTROAD_") || notOurs(name) {
			continue
		}
		given[name] = true
		key := strings.ToLower(strings.TrimPrefix(name, "POSTROAD_"))
		if f := r.byKey[key]; f != nil {
			r.put(f, name, text)
			continue
		}
		if f := r.byKey[strings.TrimSuffix(key, "_file")]; f != nil && f.secret && strings.HasSuffix(key, "_file") {
			if given[f.env] {
				r.fault(name, "%s is set too; set one of the two", f.env)
				continue
			}
			r.putFile(f, name, text)
			continue
		}
		r.unknown(name, "", name, r.environmentNames())
	}
}

// notOurs tells names that begin like ours and are somebody else's: those of our own
// client commands, and those Kubernetes gives every pod beside a service called
// "postroad" (POSTROAD_PORT, POSTROAD_SERVICE_HOST, POSTROAD_PORT_8080_TCP …).
func notOurs(name string) bool {
	return slices.Contains(clientNames, name) || name == "POSTROAD_PORT" ||
		strings.HasPrefix(name, "POSTROAD_PORT_") || strings.HasPrefix(name, "POSTROAD_SERVICE_")
}

func (r *reading) environmentNames() (names []string) {
	for _, f := range r.fields {
		names = append(names, f.env)
		if f.secret {
			names = append(names, f.env+"_FILE")
		}
	}
	return names
}

func (r *reading) keys() (names []string) {
	for _, f := range r.fields {
		names = append(names, f.key)
		if f.secret {
			names = append(names, f.key+"_file")
		}
	}
	return names
}

func (r *reading) unknown(where, prefix, name string, known []string) {
	if n := mail.NearestWord(name, known); n != "" {
		r.fault(where, "%sthere is no such setting; did you mean %s?", prefix, n)
		return
	}
	r.fault(where, "%sthere is no such setting; `postroad config describe` lists them", prefix)
}
