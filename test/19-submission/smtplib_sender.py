# Sends the message in a file as it is. Arguments: one JSON object, see senders_test.go.
import json, smtplib, ssl, sys

a = json.loads(sys.argv[1])
context = ssl.create_default_context(cafile=a["ca"]) if a["ca"] else None
if a["tls"] == "implicit":
    s = smtplib.SMTP_SSL("localhost", a["port"], context=context, timeout=60)
else:
    s = smtplib.SMTP("localhost", a["port"], timeout=60)
if a["tls"] == "starttls":
    s.starttls(context=context)
s.login("relay", a["password"])
with open(a["file"], "rb") as f:
    refused = s.sendmail(a["from"], a["to"], f.read(), mail_options=["BODY=8BITMIME"])
s.quit()
if refused:
    sys.exit(str(refused))
