// Package postroad is the Go client of a Postroad server. It needs nothing but the
// standard library.
//
//	client, err := postroad.New() // POSTROAD_API_KEY, POSTROAD_BASE_URL
//	sent, err := client.Messages.Send(ctx, postroad.Message{
//		Recipient: "ada@example.com", Template: "welcome", TemplateData: map[string]any{"name": "Ada"},
//	}, postroad.IdempotencyKey("welcome-user/42"))
//
// One [Client] serves a whole process: it is safe for concurrent use and keeps its
// connections. Its fields are the nouns of the API ([Client.Messages], [Client.Templates],
// …), their methods its operations.
//
// A call is tried up to five times ([Backoff] says how long it waits in between); a POST
// carries one idempotency key over all its tries, so that a try whose answer was lost does
// not send twice. A context's deadline is never slept past.
//
// What fails is an [*Error] with a [Kind]:
//
//	var problem *postroad.Error
//	if errors.Is(err, postroad.ErrValidation) && errors.As(err, &problem) {
//		for _, field := range problem.Errors { … }
//	}
//
// Lists are read lazily: for m, err := range client.Messages.List(filter).All(ctx). Times
// the server answers as null are zero, texts empty. Fields this package does not know yet
// stand in what [Response.Raw] gives. Statuses and types of events are open: new ones
// may come at any time.
//
// [Verify] checks a webhook; package postroadtest stands in for a server in tests.
package postroad
