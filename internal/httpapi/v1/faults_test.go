package v1_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

type fault struct {
	Field   string `json:"field"`
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func faultsOf(t *testing.T, a answer) []fault {
	t.Helper()
	var out struct {
		Errors []fault `json:"errors"`
	}
	if err := json.Unmarshal(a.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out.Errors
}

// eventTypes is the timeline of a message just sent or read, in one line.
func (h *house) eventTypes(sent answer) string {
	h.t.Helper()
	var out struct {
		Data []struct {
			Type string `json:"type"`
		} `json:"data"`
	}
	a := h.ask(testKey, "GET", "/v1/messages/"+sent.at("/message_id")+"/events", "").is(200, "")
	if err := json.Unmarshal(a.Body.Bytes(), &out); err != nil {
		h.t.Fatal(err)
	}
	types := make([]string, len(out.Data))
	for i, e := range out.Data {
		types[i] = e.Type
	}
	return strings.Join(types, " ")
}
