package postroad_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	postroad "github.com/postroad/postroad/clients/go"
	"github.com/postroad/postroad/clients/go/postroadtest"
)

// A message is sent, and its timeline is read.
func Example() {
	client := postroadtest.New().Client() // in a program: postroad.New()
	ctx := context.Background()
	sent, err := client.Messages.Send(ctx, postroad.Message{
		Recipient: "ada@example.com",
		Subject:   "Your verification code",
		Text:      "Your code is 482913.",
	}, postroad.IdempotencyKey("otp/user-42/7"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sent.Status, sent.Recipient)
	events, err := client.Messages.Events(ctx, sent.MessageID)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, event := range events {
		fmt.Println(event.Type)
	}
	// Output:
	// queued ada@example.com
	// message.queued
	// message.accepted
	// message.delivered
}

func ExampleError() {
	server := postroadtest.New()
	server.Answer("POST", "/v1/messages", 422, `{"code":"validation_failed","detail":"1 field is invalid: recipient",
		"errors":[{"field":"recipient","pointer":"#/recipient","code":"invalid_email","message":"'ada@exmaple' has no valid domain."}]}`)
	_, err := server.Client().Messages.Send(context.Background(), postroad.Message{Recipient: "ada@exmaple", Text: "Hello"})
	var problem *postroad.Error
	switch {
	case errors.Is(err, postroad.ErrValidation) && errors.As(err, &problem):
		for _, field := range problem.Errors {
			fmt.Println(field.Pointer, field.Code, field.Message)
		}
	case errors.Is(err, postroad.ErrRateLimit):
		fmt.Println("too many requests, in spite of five attempts")
	}
	// Output: #/recipient invalid_email 'ada@exmaple' has no valid domain.
}

func ExampleMessages_List() {
	server := postroadtest.New()
	client := server.Client()
	ctx := context.Background()
	for _, to := range []string{"ada@example.com", "bob@example.com"} {
		if _, err := client.Messages.Send(ctx, postroad.Message{Recipient: to, Text: "Hello"}); err != nil {
			fmt.Println(err)
		}
	}
	for message, err := range client.Messages.List(postroad.MessageFilter{Tag: "weekly"}).All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(message.Recipient)
	}
	// Output:
	// bob@example.com
	// ada@example.com
}

func ExampleWebhookHandler() {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // os.Getenv("POSTROAD_WEBHOOK_SECRET")
	handler := postroad.WebhookHandler(func(_ *http.Request, event *postroad.Event) error {
		if event.Type == postroad.EventMessageBounced {
			bounced, err := event.Message()
			if err != nil {
				return err
			}
			fmt.Println("no more mail to", bounced.Recipient)
		}
		return nil
	}, secret)

	const body = `{"id":"evt_1","type":"message.bounced","data":{"recipient":"ada@example.com"}}`
	r := httptest.NewRequest("POST", "/hooks/mail", strings.NewReader(body))
	r.Header = sign(secret, "evt_1", time.Now(), body)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// no more mail to ada@example.com
	// 204
}
