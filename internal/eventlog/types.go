package eventlog

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postroad/postroad/internal/mail"
)

// Type is a kind of event there is.
type Type struct {
	Name        mail.EventType
	Description string
	Schema      jsontext.Value // JSON Schema of data
	Example     jsontext.Value // a whole envelope
}

// described is every type with what it says, in the order of the contract.
var described = []struct {
	name mail.EventType
	says string
	data any
}{
	{mail.EventQueued, "The message is on our disk for this recipient and will be worked on.", queuedData{}},
	{mail.EventScheduled, "The message waits for its time. When that comes, message.queued follows.", scheduledData{}},
	{mail.EventRescheduled, "The time the message waits for was changed.", scheduledData{}},
	{mail.EventAccepted, "The suppression list was asked again, a route was found, and the message waits its turn on the wire.", acceptedData{}},
	{mail.EventDelivered, "The recipient's mail server took the message. That is not the inbox.", deliveredData{}},
	{mail.EventDeferred, "An attempt failed for now; the next one has a time. With reason report: the site that took it tells that it waits there.", deferredData{}},
	{mail.EventBounced, "The message was refused for good, the attempts are used up, or a bounce report came after the site had taken it.", bouncedData{}},
	{mail.EventComplained, "The recipient's operator reported the message as spam.", complainedData{}},
	{mail.EventSuppressed, "The recipient is on the suppression list: no attempt was made.", suppressedData{}},
	{mail.EventExpired, "The message's expiry came first.", expiredData{}},
	{mail.EventFailed, "Something that cannot be mended stopped the message after it was accepted.", failedData{}},
	{mail.EventCancelled, "A caller stopped the message, or a newer one took its place.", cancelledData{}},
	{mail.EventUnsubscribed, "The recipient wants no more of this.", unsubscribedData{}},
	{mail.EventOpened, "The message was opened. Only where tracking is on.", visitData{}},
	{mail.EventClicked, "A link of the message was followed. Only where tracking is on.", visitData{}},
	{mail.EventSuppressionCreated, "An address entered the suppression list.", suppressionData{}},
	{mail.EventSuppressionDeleted, "An address left the suppression list.", suppressionData{}},
	{mail.EventDomainCreated, "A sending domain was added.", domainData{}},
	{mail.EventDomainVerified, "A sending domain's DKIM record was found: mail can be sent from it.", domainData{}},
	{mail.EventDomainDegraded, "A sending domain's DKIM record has vanished. Mail is still sent, for 24 hours.", domainData{}},
	{mail.EventDomainFailed, "A sending domain's DKIM record has been missing for 24 hours: no mail is sent from it.", domainData{}},
	{mail.EventDomainDeleted, "A sending domain was removed.", domainData{}},
	{mail.EventTemplatePublished, "Another version of a template is the one sent from now on.", templateData{}},
	{mail.EventKeyCreated, "An API key was made.", keyData{}},
	{mail.EventKeyRotated, "An API key was made that follows another; the old one works a while longer.", rotatedData{}},
	{mail.EventKeyRevoked, "An API key works no more.", keyData{}},
	{mail.EventKeyExpiring, "An API key will expire: told 14, 3 and 1 days before.", keyData{}},
	{mail.EventWebhookFailing, "A webhook has been failing for an hour, a day, or four days. Told to the project's other webhooks.", webhookData{}},
	{mail.EventWebhookDisabled, "A webhook is disabled. Told to the project's other webhooks.", webhookData{}},
	{mail.EventWebhookRecovered, "A webhook takes events again. Told to the project's other webhooks.", webhookData{}},
	{mail.EventWebhookTest, "An example that was asked for. It is sent to one webhook and stands in no log.", testData{}},
}

// Types are all types of events, in the order of the contract. Nobody may change them.
func Types() []Type { return allTypes() }

var allTypes = sync.OnceValue(func() []Type {
	now := time.Date(2026, 4, 19, 14, 30, 0, 827_000_000, time.UTC)
	out := make([]Type, len(described))
	for i, d := range described {
		e := Sample(d.name, mail.Owner{Project: 1}, mail.NewID(now), now)
		example, err := Envelope(*e, "https://mail.acme.test", nil)
		if err != nil {
			panic(err) // a test makes them all
		}
		out[i] = Type{d.name, d.says, schemaOf(reflect.TypeOf(d.data)), example}
	}
	return out
})

// EnvelopeSchema is the JSON Schema of what is around every type's data.
func EnvelopeSchema() jsontext.Value { return schemaOf(reflect.TypeFor[envelope]()) }

// Known tells whether a type, or a pattern like "message.*", names anything there is. near is
// the name closest to what it may have meant ("delivered" is short for "message.delivered"), ""
// when none is.
func Known(asked string) (known bool, near string) {
	if asked == "*" {
		return true, ""
	}
	noun, all := strings.CutSuffix(asked, ".*")
	names := make([]string, len(described))
	for i, d := range described {
		names[i] = string(d.name)
		if all && strings.HasPrefix(names[i], noun+".") || names[i] == asked {
			return true, ""
		}
	}
	asked = strings.ToLower(asked)
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, "."+asked) }); i >= 0 {
		return false, names[i]
	}
	return false, mail.NearestWord(asked, names)
}
