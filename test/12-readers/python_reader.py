"""Reads messages with Python's email package as its documentation shows.

Standard input: [{"name": …, "raw": base64}]. Standard output: what each is read as.
"""

import base64
import email
import email.policy
import hashlib
import json
import sys


def whole(text):
    """Python keeps bytes beyond ASCII in fields (RFC 6532) as surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8")


def mailboxes(message, field):
    value = message[field]
    if value is None:
        return []
    return [{"name": whole(a.display_name), "email": whole(a.addr_spec)} for a in value.addresses]


def attached(part):
    content = part.get_payload(decode=True) or b""
    content_id = part["Content-ID"]
    return {
        "filename": part.get_filename() or "",
        "content_type": part.get_content_type(),
        "content_id": str(content_id).strip("<>") if content_id else "",
        "disposition": part.get_content_disposition() or "",
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def read(raw):
    message = email.message_from_bytes(raw, policy=email.policy.default)
    plain = message.get_body(("plain",))
    html = message.get_body(("html",))
    headers = {}
    for name, value in message.items():
        headers.setdefault(name.lower(), []).append(str(value))
    return {
        "from": mailboxes(message, "From"),
        "reply_to": mailboxes(message, "Reply-To"),
        "to": mailboxes(message, "To"),
        "cc": mailboxes(message, "Cc"),
        "subject": str(message["Subject"]),
        "text": plain.get_content() if plain else None,
        "html": html.get_content() if html else None,
        "headers": headers,
        "attachments": [
            attached(p) for p in message.walk() if not p.is_multipart() and p is not plain and p is not html
        ],
        "defects": [repr(d) for p in message.walk() for d in p.defects],
    }


def main():
    out = []
    for item in json.load(sys.stdin):
        try:
            result = read(base64.b64decode(item["raw"]))
        except Exception as e:  # a reader that gives up is a finding, not the end of the run
            result = {"problem": repr(e)}
        out.append({"name": item["name"], **result})
    json.dump(out, sys.stdout)


main()
