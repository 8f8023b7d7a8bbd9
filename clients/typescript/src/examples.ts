// Made from the OpenAPI document by test/17-clients: the examples MemoryServer answers with.
export const examples = {
  "accepted": {
    "created_at": "2026-04-19T14:30:00.000Z",
    "environment": "live",
    "expires_at": null,
    "from": "Acme \u003chello@acme.test\u003e",
    "links": {
      "console": "https://mail.acme.test/p/default/messages/msg_01kpk2byj0emq8k9w39qsaekf4",
      "events": "/v1/messages/msg_01kpk2byj0emq8k9w39qsaekf4/events",
      "self": "/v1/messages/msg_01kpk2byj0emq8k9w39qsaekf4"
    },
    "message_id": "msg_01kpk2byj0emq8k9w39qsaekf4",
    "object": "message",
    "priority": "normal",
    "recipient": "user@example.com",
    "recipients": [
      {
        "email": "user@example.com",
        "recipient_id": "rcp_01kpk2byj0emq8k9w39qsaekf4",
        "status": "queued",
        "type": "to"
      }
    ],
    "scheduled_time": null,
    "status": "queued",
    "superseded": [],
    "warnings": []
  },
  "events": [
    {
      "accept_ms": 4,
      "api_key_id": "key_k7f2q9xm",
      "at": "2026-04-19T14:30:00.000Z",
      "event_id": "evt_01kpk2byj0emq8k9w39qsaekf4",
      "recipient": "ada@example.com",
      "recipient_id": "rcp_01kpk2byj0emq8k9w39qsaekf4",
      "sequence": 1,
      "summary": "Accepted by API",
      "type": "message.queued",
      "via": "api"
    },
    {
      "at": "2026-04-19T14:30:00.827Z",
      "attempt": 1,
      "event_id": "evt_01kpk2byj1emq8k9w39qsaekf4",
      "recipient": "ada@example.com",
      "reply": {
        "code": 250,
        "enhanced": "2.0.0",
        "text": "OK"
      },
      "sequence": 2,
      "summary": "250 2.0.0 OK",
      "type": "message.delivered"
    }
  ],
  "listed": {
    "attempts": 1,
    "completed_at": "2026-04-19T14:30:01.000Z",
    "created_at": "2026-04-19T14:30:00.000Z",
    "from": "hello@acme.test",
    "last_event": {
      "at": "2026-04-19T14:30:01.000Z",
      "summary": "550 5.1.1 user unknown",
      "type": "message.bounced"
    },
    "message_id": "msg_01kpk2byj0emq8k9w39qsaekf4",
    "object": "message",
    "priority": "normal",
    "recipient": "ada@example.com",
    "recipient_count": 1,
    "scheduled_time": null,
    "status": "bounced",
    "subject": "Welcome, Ada",
    "tags": [
      "welcome"
    ],
    "template": {
      "alias": "welcome",
      "template_id": "tmpl_01kpk2byj0emq8k9w39qsaekf4",
      "version": 7
    },
    "topic": null
  },
  "message": {
    "accepted_at": "2026-04-19T14:30:00.011Z",
    "actions": {
      "cancel": false,
      "reschedule": false,
      "resend": true,
      "send_now": false
    },
    "api_key_id": "key_k7f2q9xm",
    "attachments": [],
    "attempts": 2,
    "batch_id": null,
    "completed_at": "2026-04-19T14:30:00.827Z",
    "content": {
      "available": true,
      "until": "2026-05-19T14:30:00.000Z"
    },
    "created_at": "2026-04-19T14:30:00.000Z",
    "environment": "live",
    "expires_at": null,
    "first_attempt_at": "2026-04-19T14:30:00.015Z",
    "from": {
      "email": "hello@acme.test",
      "name": "Acme"
    },
    "headers": {
      "X-Entity-Ref": "42"
    },
    "idempotency_key": "welcome-user/42",
    "latency_ms": {
      "accept": 4,
      "first_attempt": 15,
      "queue": 11,
      "total": 827
    },
    "message_id": "msg_01kpk2byj0emq8k9w39qsaekf4",
    "metadata": {
      "user_id": "42"
    },
    "object": "message",
    "priority": "normal",
    "queued_at": "2026-04-19T14:30:00.000Z",
    "recipient": "ada@example.com",
    "recipients": [
      {
        "attempts": 2,
        "bounce": null,
        "completed_at": "2026-04-19T14:30:00.827Z",
        "delivered_at": "2026-04-19T14:30:00.827Z",
        "email": "ada@example.com",
        "last_reply": {
          "at": "2026-04-19T14:30:00.827Z",
          "code": 250,
          "enhanced": "2.0.0",
          "mx_host": "gmail-smtp-in.l.google.com",
          "text": "OK"
        },
        "name": "Ada",
        "next_attempt_at": null,
        "recipient_id": "rcp_01kpk2byj0emq8k9w39qsaekf4",
        "site": "google",
        "status": "delivered",
        "type": "to",
        "waits_for": null
      }
    ],
    "reply_to": [],
    "resent_from": null,
    "rfc_message_id": "\u003c019da625-fa40-752e-89a7-834df2a74de4@acme.test\u003e",
    "routing": {
      "policy_id": null,
      "pool": "main",
      "queue_id": null,
      "route_id": null,
      "source": "192.0.2.10"
    },
    "scheduled_time": null,
    "size_bytes": 18234,
    "status": "delivered",
    "subject": "Welcome, Ada",
    "superseded_by": null,
    "supersedes": null,
    "tags": [
      "welcome"
    ],
    "template": {
      "alias": "welcome",
      "template_id": "tmpl_01kpk2byj0emq8k9w39qsaekf4",
      "version": 7
    },
    "topic": null,
    "via": "api"
  },
  "titles": {
    "idempotency_key_reused": "The idempotency key was used with another request",
    "invalid_json": "The body is not valid JSON",
    "message_not_found": "There is no such message",
    "missing_api_key": "An API key is needed",
    "not_found": "Not found",
    "validation_failed": "The request has invalid fields"
  }
};
