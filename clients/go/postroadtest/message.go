package postroadtest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"strings"

	postroad "github.com/postroad/postroad/clients/go"
)

// examplesJSON are the examples of the API's OpenAPI document: test/17-clients makes the
// file, and finds it when it is another than the document says.
//
//go:embed examples.json
var examplesJSON []byte

var examples = func() (e struct {
	Accepted, Message, Listed json.RawMessage
	Events                    []json.RawMessage
	Titles                    map[string]string // of problems by their code
}) {
	if err := json.Unmarshal(examplesJSON, &e); err != nil {
		panic(err) // it is part of the program
	}
	return e
}()

// with is an object with some members changed.
func with(object []byte, changes map[string]any) []byte {
	all := map[string]any{}
	if err := json.Unmarshal(object, &all); err != nil {
		panic(err) // ours
	}
	for name, value := range changes {
		all[name] = value
	}
	return written(all)
}

func written(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON, or is made of texts and numbers
	}
	return text
}

func (s *Server) send(key string, body []byte) planned {
	if k, ok := s.once[key]; ok && key != "" {
		if !bytes.Equal(k.body, body) {
			return refused(http.StatusUnprocessableEntity, "idempotency_key_reused", "The idempotency key was used with another request.")
		}
		return planned{status: http.StatusAccepted, body: k.answer, header: http.Header{"Idempotency-Replayed": {"true"}}}
	}
	var m postroad.Message
	if err := json.Unmarshal(body, &m); err != nil {
		return refused(http.StatusBadRequest, "invalid_json", err.Error())
	}
	if m.Recipient == "" && len(m.To) == 0 {
		return refused(http.StatusUnprocessableEntity, "validation_failed", "1 field is invalid: recipient",
			map[string]any{"field": "recipient", "pointer": "#/recipient", "code": "missing_required_field", "message": "Name a recipient."})
	}
	if key == "" {
		key = m.Headers["Idempotency-Key"]
	}
	sent := Sent{fmt.Sprintf("msg_%026d", len(s.sent)+1), key, m}
	s.sent = append(s.sent, sent)
	changes := facts(sent, "queued")
	changes["links"] = map[string]string{"self": "/v1/messages/" + sent.MessageID, "events": "/v1/messages/" + sent.MessageID + "/events",
		"console": "http://postroad.invalid/p/default/messages/" + sent.MessageID}
	if !m.ScheduledTime.IsZero() {
		changes["status"], changes["scheduled_time"] = "scheduled", m.ScheduledTime
	}
	if m.From != "" {
		changes["from"] = m.From
	}
	text := with(examples.Accepted, changes)
	s.once[key] = kept{body, text}
	return planned{status: http.StatusAccepted, body: text, header: http.Header{"Location": {"/v1/messages/" + sent.MessageID}}}
}

// facts are what a sent message changes in every object about it.
func facts(m Sent, status string) map[string]any {
	recipients, number := []map[string]any{}, 0
	for kind, list := range [][]string{toOf(m.Message), m.Message.Cc, m.Message.Bcc} {
		for _, address := range list {
			number++
			recipients = append(recipients, map[string]any{"recipient_id": fmt.Sprintf("rcp_%026d", number), "type": []string{"to", "cc", "bcc"}[kind],
				"email": bare(address), "status": status})
			if status != "queued" { // the answer to a send is shorter
				recipients[len(recipients)-1]["name"] = nameOf(address)
			}
		}
	}
	all := map[string]any{"message_id": m.MessageID, "status": status, "recipient": bare(toOf(m.Message)[0]), "recipients": recipients, "priority": "normal", "environment": "test"}
	if m.Message.Priority != "" {
		all["priority"] = m.Message.Priority
	}
	return all
}

func toOf(m postroad.Message) []string {
	if m.Recipient == "" {
		return m.To
	}
	return []string{m.Recipient}
}

// bare is the address of "Ada <ada@example.com>".
func bare(address string) string {
	if a, err := mail.ParseAddress(address); err == nil {
		return a.Address
	}
	return address
}

func nameOf(address string) string {
	a, err := mail.ParseAddress(address)
	if err != nil {
		return ""
	}
	return a.Name
}

// shown is a delivered message, as one is answered or, of a list, as a row.
func shown(m Sent, row bool) json.RawMessage {
	changes := facts(m, "delivered")
	changes["subject"], changes["tags"], changes["template"] = m.Message.Subject, append([]string{}, m.Message.Tags...), nil
	if row {
		changes["recipient_count"] = len(changes["recipients"].([]map[string]any))
		delete(changes, "recipients")
		delete(changes, "environment")
		changes["last_event"] = map[string]any{"type": "message.delivered", "at": member(examples.Message, "completed_at"), "summary": "250 2.0.0 OK"}
		if m.Message.From != "" {
			changes["from"] = bare(m.Message.From)
		}
		return with(examples.Listed, changes)
	}
	full := member(examples.Message, "recipients").([]any)[0].(map[string]any)
	for _, r := range changes["recipients"].([]map[string]any) {
		for name, value := range full {
			if _, there := r[name]; !there {
				r[name] = value
			}
		}
	}
	changes["metadata"], changes["headers"], changes["idempotency_key"] = orEmpty(m.Message.Metadata), orEmpty(m.Message.Headers), m.IdempotencyKey
	if m.Message.From != "" {
		changes["from"] = map[string]any{"email": bare(m.Message.From), "name": nameOf(m.Message.From)}
	}
	return with(examples.Message, changes)
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func member(object []byte, name string) any {
	all := map[string]any{}
	if err := json.Unmarshal(object, &all); err != nil {
		panic(err) // ours
	}
	return all[name]
}

func (s *Server) list() planned {
	rows := []json.RawMessage{}
	for i := len(s.sent) - 1; i >= 0; i-- {
		rows = append(rows, shown(s.sent[i], true))
	}
	return listed(rows, "/v1/messages")
}

func listed(rows []json.RawMessage, url string) planned {
	return planned{status: http.StatusOK, body: written(map[string]any{"object": "list", "data": rows, "has_more": false, "next_cursor": nil, "url": url})}
}

func (s *Server) look(rest string) planned {
	id, what, _ := strings.Cut(rest, "/")
	for _, m := range s.sent {
		switch {
		case m.MessageID != id:
		case what == "":
			return planned{status: http.StatusOK, body: shown(m, false)}
		case what == "events":
			return listed(timeline(m), "/v1/messages/"+id+"/events")
		}
	}
	return refused(http.StatusNotFound, "message_not_found", "There is no such message in this project and environment.")
}

// timeline is how a message is delivered: queued, accepted, delivered.
func timeline(m Sent) []json.RawMessage {
	queued, delivered := examples.Events[0], examples.Events[1]
	to := bare(toOf(m.Message)[0])
	accepted := written(map[string]any{"event_id": fmt.Sprintf("evt_%026d", 2), "type": "message.accepted", "sequence": 2, "at": member(examples.Message, "accepted_at"), "recipient": to, "summary": "Accepted by the queue"})
	return []json.RawMessage{with(queued, map[string]any{"event_id": fmt.Sprintf("evt_%026d", 1), "recipient": to}), accepted,
		with(delivered, map[string]any{"event_id": fmt.Sprintf("evt_%026d", 3), "sequence": 3, "recipient": to})}
}
