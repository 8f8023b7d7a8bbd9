package v1

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/postroad/postroad/internal/httpapi"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/submit"
)

// batchTeller writes what the caller of a batch is told, within its commit.
type batchTeller struct {
	body        *batchBody
	requestID   string
	fingerprint [32]byte
}

// answer is submit.BatchRequest.Answer: the 202, or the 200 of a dry run.
func (t *batchTeller) answer(out *submit.AcceptedBatch) mail.Answer {
	a := mail.Answer{Status: http.StatusAccepted, RequestID: t.requestID, Fingerprint: t.fingerprint}
	id := out.ID.Text(mail.PrefixBatch)
	b := make([]byte, 0, 256+192*len(out.Items))
	if out.DryRun {
		a.Status = http.StatusOK
		b = append(b, `{"object":"dry_run"`...)
	} else {
		a.Location = "/v1/messages?batch_id=" + id
		b = append(b, `{"object":"batch","batch_id":"`...)
		b = append(append(b, id...), '"')
	}
	b = appendSummary(append(b, `,"summary":`...), out)
	b = append(b, `,"data":[`...)
	for i := range out.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = t.appendItem(b, i, &out.Items[i])
	}
	b = append(b, ']')
	if warnings := append(t.body.unknown[:len(t.body.unknown):len(t.body.unknown)], t.body.warnings...); len(warnings) > 0 {
		b = appendWarnings(append(b, `,"warnings":`...), warnings)
	}
	a.Body = append(b, '}')
	return a
}

func appendSummary(b []byte, out *submit.AcceptedBatch) []byte {
	queued, suppressed, rejected, replayed := 0, 0, 0, 0
	for i := range out.Items {
		switch item := &out.Items[i]; {
		case item.Err != nil:
			rejected++
		case item.Replayed:
			replayed++
		case overall(item.Deliveries) == mail.Suppressed:
			suppressed++
		default:
			queued++
		}
	}
	b = strconv.AppendInt(append(b, `{"total":`...), int64(len(out.Items)), 10)
	b = strconv.AppendInt(append(b, `,"queued":`...), int64(queued), 10)
	b = strconv.AppendInt(append(b, `,"suppressed":`...), int64(suppressed), 10)
	b = strconv.AppendInt(append(b, `,"rejected":`...), int64(rejected), 10)
	b = strconv.AppendInt(append(b, `,"replayed":`...), int64(replayed), 10)
	return append(b, '}')
}

// appendItem tells of one message.
func (t *batchTeller) appendItem(b []byte, i int, item *submit.BatchItem) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(i), 10)
	switch {
	case item.Err != nil:
		return append(t.appendError(append(b, `,"error":`...), i, item.Err), '}')
	case item.Replayed:
		return append(appendReplay(b, item.Answer.Body), '}')
	case item.Preview == nil:
		b = append(b, `,"message_id":"`...)
		b = append(append(b, item.Message.ID.Text(mail.PrefixMessage)...), '"')
	}
	b = append(b, `,"status":"`...)
	b = append(b, overall(item.Deliveries).String()...)
	b = append(b, `","recipient":`...)
	b = httpapi.AppendString(b, firstTo(item.Deliveries))
	if s := suppressionOf(item.Deliveries); s != nil {
		b = appendSuppressedBy(append(b, `,"suppression":`...), s)
	}
	if len(item.Warnings) > 0 {
		b = appendWarnings(append(b, `,"warnings":`...), t.placed(i, item.Warnings))
	}
	return append(b, '}')
}

// placed are warnings with the place of their message in the batch.
func (t *batchTeller) placed(i int, warnings []mail.Warning) []mail.Warning {
	out := make([]mail.Warning, len(warnings))
	for j, w := range warnings {
		if w.Pointer != "" {
			w.Pointer = t.body.place(i, topOfPointer(w.Pointer), w.Pointer)
		}
		out[j] = w
	}
	return out
}

func (t *batchTeller) appendError(b []byte, i int, err error) []byte {
	faults := t.body.faultsOf(i, err)
	code := "validation_failed"
	if len(faults) == 1 && faults[0].Status != 0 {
		code = faults[0].Code
	}
	b = httpapi.AppendString(append(b, `{"code":`...), code)
	b = httpapi.AppendFaults(append(b, `,"errors":`...), faults)
	return append(b, '}')
}

// appendReplay tells of a message that was accepted before, from what its sender was told.
func appendReplay(b, first []byte) []byte {
	if body, fault := readObject(first); fault == nil {
		w := body.walk()
		for {
			name, v, ok := w.next()
			if !ok {
				break
			}
			switch string(name) {
			case "message_id", "status", "recipient":
				b = append(append(append(b, ',', '"'), name...), '"', ':')
				b = append(b, v...)
			}
		}
	}
	return append(b, `,"replayed":true`...)
}

// countOf is "1 message", "3 messages"; without a noun the number and a blank.
func countOf(n int, noun string) string {
	s := strconv.Itoa(n) + " " + noun
	if noun != "" && n != 1 {
		s += "s"
	}
	return s
}

// topOfPointer is the first name of a pointer.
func topOfPointer(pointer string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(pointer, "#/"), "/")
	return top
}
