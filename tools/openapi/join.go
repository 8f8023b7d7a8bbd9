package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/postroad/postroad/internal/eventlog"
)

// joiner gathers the sources.
type joiner struct {
	head       *object // openapi, info, servers …
	tags       []any
	operations []operation
	schemas    *object // components, as written
	parameters *object
	headers    *object
	responses  *object
	examples   *object
	extras     *object // x-… at the top
	used       map[string]bool
}

type operation struct {
	method, path, tag string
	source            *object
}

func newJoiner() *joiner {
	return &joiner{head: obj(), schemas: obj(), parameters: obj(), headers: obj(), responses: obj(), examples: obj(), extras: obj(), used: map[string]bool{}}
}

// add takes one file.
func (j *joiner) add(text []byte) error {
	file, err := parse(text)
	if err != nil {
		return err
	}
	tag := file.object("tag").text("name")
	for _, name := range file.names {
		v := file.get(name)
		switch name {
		case "document":
			j.head = v.(*object)
		case "tag":
			j.tags = append(j.tags, v)
		case "operations":
			for _, line := range v.(*object).names {
				method, path, ok := strings.Cut(line, " ")
				if !ok {
					return fmt.Errorf("%q: 'METHOD /path' is meant", line)
				}
				j.operations = append(j.operations, operation{strings.ToLower(method), path, tag, v.(*object).object(line)})
			}
		case "schemas", "parameters", "headers", "responses", "examples":
			to := map[string]*object{"schemas": j.schemas, "parameters": j.parameters, "headers": j.headers, "responses": j.responses, "examples": j.examples}[name]
			for _, member := range v.(*object).names {
				if to.has(member) {
					return fmt.Errorf("%s %s stands twice", name, member)
				}
				to.set(member, v.(*object).get(member))
			}
		default:
			if !strings.HasPrefix(name, "x-") {
				return fmt.Errorf("%q is not understood", name)
			}
			j.extras.set(name, v)
		}
	}
	return nil
}

// finish makes the document.
func (j *joiner) finish() (*object, error) {
	doc := obj()
	for _, name := range j.head.names {
		doc.set(name, j.head.get(name))
	}
	doc.set("tags", j.tags)
	if err := j.event(); err != nil {
		return nil, err
	}
	paths := obj()
	for _, o := range j.operations {
		out, err := j.operation(o)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.method, o.path, err)
		}
		item := paths.object(o.path)
		item.set(o.method, out)
		paths.set(o.path, item)
	}
	doc.set("paths", paths)
	hooks, err := j.hooks()
	if err != nil {
		return nil, err
	}
	doc.set("webhooks", hooks)
	components, err := j.components()
	if err != nil {
		return nil, err
	}
	doc.set("components", components)
	for _, name := range j.extras.names {
		doc.set(name, j.extras.get(name))
	}
	return doc, nil
}

// components are finished last: what is written here may use more of them.
func (j *joiner) components() (*object, error) {
	schemas := obj()
	for i := 0; i < len(j.schemas.names); i++ { // pages are added on the way
		name := j.schemas.names[i]
		s, err := j.schema(j.schemas.get(name))
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		schemas.set(name, s)
	}
	parameters, headers, responses, examples := obj(), obj(), obj(), obj()
	var errs []error
	for _, name := range j.parameters.names {
		p, err := j.parameter(name, j.parameters.object(name))
		errs = append(errs, err)
		parameters.set(name, p)
	}
	for _, name := range j.headers.names {
		s, err := j.shape(j.headers.text(name))
		errs = append(errs, err)
		if err == nil {
			h := obj("description", s.get("description"), "schema", s)
			if slices.Contains(common, name) {
				h = obj("description", s.get("description"), "required", true, "schema", s)
			}
			delete(s.values, "description")
			s.names = s.names[:len(s.names)-1]
			headers.set(name, h)
		}
	}
	for _, name := range j.responses.names {
		r, err := j.problem(j.responses.object(name))
		errs = append(errs, err)
		responses.set(name, r)
	}
	for _, name := range j.examples.names {
		examples.set(name, obj("value", j.examples.get(name)))
	}
	for name := range j.used {
		kind, member, _ := strings.Cut(name, "/")
		if !map[string]*object{"schemas": schemas, "parameters": parameters, "headers": headers, "responses": responses, "examples": examples}[kind].has(member) {
			errs = append(errs, fmt.Errorf("%s is used and nowhere written", name))
		}
	}
	security := j.head.object("components")
	out := obj("schemas", schemas, "parameters", parameters, "headers", headers, "responses", responses, "examples", examples)
	for _, name := range security.names {
		out.set(name, security.get(name))
	}
	return out, errors.Join(errs...)
}

// ref points to a component, and notes that it must be there.
func (j *joiner) ref(kind, name string) *object {
	j.used[kind+"/"+name] = true
	return obj("$ref", "#/components/"+kind+"/"+name)
}

// parameter writes one that several operations share.
func (j *joiner) parameter(name string, x *object) (*object, error) {
	in := x.text("in")
	written := name
	if x.has("name") {
		written = x.text("name")
	}
	s, err := j.schema(x.get("schema"))
	if err != nil {
		return nil, fmt.Errorf("parameter %s: %w", name, err)
	}
	out := obj("name", written, "in", in, "description", x.get("description"))
	if in == "path" {
		out.set("required", true)
	}
	out.set("schema", s)
	out.set("example", x.get("example"))
	if !x.has("example") {
		delete(out.values, "example")
		out.names = out.names[:len(out.names)-1]
	}
	return out, nil
}

// problem writes an error answer.
func (j *joiner) problem(x *object) (*object, error) {
	return obj("description", x.get("description"), "headers", j.commonHeaders(x),
		"content", obj("application/problem+json", obj("schema", j.ref("schemas", "Problem"), "examples", x.get("examples")))), nil
}

// hooks writes the events that are posted to endpoints, as package eventlog has them: they
// have no source of their own.
func (j *joiner) hooks() (*object, error) {
	out := obj()
	for _, t := range eventlog.Types() {
		envelope, err := parse(eventlog.EnvelopeSchema())
		if err != nil {
			return nil, err
		}
		data, err := parse(t.Schema)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", t.Name, err)
		}
		example, err := parse(steady(t.Example))
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", t.Name, err)
		}
		name, properties := string(t.Name), envelope.object("properties")
		properties.set("type", obj("type", "string", "const", name))
		properties.set("data", data)
		out.set(name, obj("post", obj("operationId", hookID(name), "summary", name, "description", t.Description, "tags", []any{"Webhooks"},
			"parameters", []any{j.ref("parameters", "webhook-id"), j.ref("parameters", "webhook-timestamp"), j.ref("parameters", "webhook-signature")},
			"requestBody", obj("required", true, "content", obj("application/json", obj("schema", envelope, "examples", obj("example", obj("value", example))))),
			"responses", obj("2XX", obj("description", "The event was taken. Any other status, a redirect too, is tried again."),
				"410", obj("description", "The endpoint is gone: it is disabled at once.")),
			"security", []any{}, "x-wave", "core")))
	}
	return out, nil
}

var (
	anID   = regexp.MustCompile(`\b([a-z]{2,5})_[0-9a-hjkmnp-tv-z]{26}\b`)
	anUUID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
)

// steady gives an example the same ids each time it is made.
func steady(example []byte) []byte {
	example = anID.ReplaceAll(example, []byte("${1}_01kpk2byj0emq8k9w39qsaekf4"))
	return anUUID.ReplaceAll(example, []byte("019da625-fa40-752e-89a7-834df2a74de4"))
}

// event is the envelope of any event, for the answers that give events.
func (j *joiner) event() error {
	envelope, err := parse(eventlog.EnvelopeSchema())
	if err == nil {
		envelope.set("description", "What happened, in the envelope that webhooks, the log and the stream share. `data` is by its type: see the events.")
		j.schemas.set("Event", envelope)
	}
	return err
}

var separators = regexp.MustCompile(`[._]+(.)`)

// hookID is onMessageDelivered for message.delivered.
func hookID(event string) string {
	return separators.ReplaceAllStringFunc("on."+event, func(s string) string { return strings.ToUpper(s[len(s)-1:]) })
}
