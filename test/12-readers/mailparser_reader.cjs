// Reads messages with nodemailer's mailparser as its documentation shows.
//
// Standard input: [{"name": …, "raw": base64}]. Standard output: what each is read as.
// The working directory is where mailparser is installed.
'use strict';

const { createRequire } = require('node:module');
const installed = createRequire(process.cwd() + '/');
const { simpleParser } = installed('mailparser');
const libmime = installed('libmime'); // what mailparser itself decodes with

const options = {
    checksumAlgo: 'sha256',
    keepCidLinks: true, // images stay named, not copied into the HTML
    skipHtmlToText: true, // only what is in the message
    skipTextToHtml: true
};

function mailboxes(field) {
    return [].concat(field || []).flatMap(f => f.value.map(a => ({ name: a.name, email: a.address || '', group: a.group })));
}

// values of a field. mailparser decodes the fields it knows and leaves the words of others
// to its caller; some it gives in a form of its own: of those, their line as it stands.
const decoded = ['subject', 'references', 'message-id', 'in-reply-to'];

function values(mail, key) {
    const value = mail.headers.get(key);
    const all = [].concat(value === undefined ? [] : value);
    if (key === 'references') {
        return [all.join(' ')];
    }
    if (all.length && all.every(v => typeof v === 'string') && key !== 'priority') {
        return decoded.includes(key) ? all : all.map(v => libmime.decodeWords(v));
    }
    return mail.headerLines.filter(l => l.key === key).map(l => l.line.slice(l.line.indexOf(':') + 1).replace(/\r?\n/g, '').trim());
}

async function read(raw) {
    const mail = await simpleParser(raw, options);
    const headers = {};
    for (const { key } of mail.headerLines) {
        headers[key] = values(mail, key);
    }
    return {
        from: mailboxes(mail.from),
        reply_to: mailboxes(mail.replyTo),
        to: mailboxes(mail.to),
        cc: mailboxes(mail.cc),
        subject: mail.subject || '',
        text: mail.text || null, // of HTML alone it gives an empty one
        html: mail.html || null,
        headers,
        attachments: mail.attachments.map(a => ({
            filename: a.filename || '',
            content_type: a.contentType,
            content_id: a.cid || '',
            disposition: a.contentDisposition || '',
            sha256: a.checksum
        })),
        defects: []
    };
}

async function main() {
    let input = '';
    for await (const piece of process.stdin.setEncoding('utf8')) {
        input += piece;
    }
    const out = [];
    for (const item of JSON.parse(input)) {
        let result;
        try {
            result = await read(Buffer.from(item.raw, 'base64'));
        } catch (e) {
            result = { problem: String(e) }; // a reader that gives up is a finding, not the end of the run
        }
        out.push({ name: item.name, ...result });
    }
    process.stdout.write(JSON.stringify(out));
}

main();
