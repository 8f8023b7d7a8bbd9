// Sends the message in a file as it is. Arguments: one JSON object, see senders_test.go.
const fs = require('fs');
const nodemailer = require(process.env.POSTROAD_MODULES + '/nodemailer');
const a = JSON.parse(process.argv[process.argv.length - 1]);
const transport = nodemailer.createTransport({
  host: a.host, port: a.port, secure: a.tls === 'implicit', ignoreTLS: a.tls === 'none', requireTLS: a.tls === 'starttls',
  auth: { user: 'relay', pass: a.password }, tls: { ca: a.ca ? fs.readFileSync(a.ca) : undefined, servername: 'localhost' },
});
transport.sendMail({ envelope: { from: a.from, to: a.to }, raw: fs.readFileSync(a.file) })
  .then((info) => { console.log(info.response); transport.close(); })
  .catch((err) => { console.error(err.response || err); process.exit(1); });
