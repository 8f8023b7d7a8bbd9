// A receiver as the documentation of npm's standardwebhooks has them: the raw body, the
// headers, the secret. Standard input: one line, the secret. Standard output: the port, a line when the
// secret is known, then a line of JSON for each request: what the library said of it as it came, and changed.
'use strict';

const http = require('node:http');
const readline = require('node:readline');
const { createRequire } = require('node:module');
const { Webhook } = createRequire(process.cwd() + '/')('standardwebhooks');

const [host, wrong] = process.argv.slice(2);
let secret;

// said is '' where the library verifies, else its words.
function said(key, body, headers, ahead = 0) {
    const now = Date.now;
    Date.now = () => now() + ahead;
    const RealDate = Date;
    global.Date = class extends RealDate {
        constructor(...args) {
            super(...(args.length ? args : [now() + ahead]));
        }
        static now() {
            return now() + ahead;
        }
    };
    try {
        new Webhook(key).verify(body, headers);
        return '';
    } catch (e) {
        return e.message || 'refused';
    } finally {
        global.Date = RealDate;
        Date.now = now;
    }
}

const server = http.createServer((req, res) => {
    const chunks = [];
    req.on('data', c => chunks.push(c));
    req.on('end', () => {
        const raw = Buffer.concat(chunks);
        const body = raw.toString('utf8');
        const changed = Buffer.from(raw);
        changed[Math.floor(raw.length / 2)] ^= 1;
        const asIs = said(secret, body, req.headers);
        res.statusCode = asIs === '' ? 204 : 401;
        res.end();
        console.log(JSON.stringify({
            id: req.headers['webhook-id'],
            type: JSON.parse(body).type,
            asIs,
            changed: said(secret, changed.toString('latin1'), req.headers),
            reserialised: said(secret, JSON.stringify(JSON.parse(body), null, 1), req.headers),
            wrongSecret: said(wrong, body, req.headers),
            sixMinutesLater: said(secret, body, req.headers, 6 * 60 * 1000),
            fourMinutesLater: said(secret, body, req.headers, 4 * 60 * 1000)
        }));
    });
});

readline.createInterface({ input: process.stdin }).on('line', line => { secret = line; console.log('known'); }).on('close', () => process.exit(0));
server.listen(0, host, () => console.log(server.address().port));
