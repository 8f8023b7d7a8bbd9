// Writes what npm handlebars makes of each case into the case files beside it, one case a
// line; with --check it only compares. The tests run it with the handlebars that
// ../npm/package-lock.json names; by hand:
//   NODE_PATH=…/node_modules node generate.mjs [--check]
// An expectation of null means that handlebars refuses the template or the data.
import { createRequire } from 'node:module';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const Handlebars = createRequire(import.meta.url)('handlebars');
const here = dirname(fileURLToPath(import.meta.url));
Handlebars.logger.level = 99; // it tells of refused prototype names

// SendGrid's helpers as helper.go describes them.
const gone = v => v === null || v === undefined;
const holds = v => !Handlebars.Utils.isEmpty(v) && Boolean(v);
const numeric = v =>
  typeof v === 'number' ? v : typeof v === 'string' && /^-?\d+(\.\d+)?$/.test(v) ? Number(v) : undefined;
function equal(a, b) {
  if (gone(a) || gone(b)) return gone(a) && gone(b);
  if (typeof a === 'string' && typeof b === 'string') return a === b;
  const x = numeric(a), y = numeric(b);
  return x !== undefined && y !== undefined ? x === y : String(a) === String(b);
}
function order(a, b) {
  const x = numeric(a), y = numeric(b);
  if (x !== undefined && y !== undefined) return x - y;
  return typeof a === 'string' && typeof b === 'string' ? (a < b ? -1 : a > b ? 1 : 0) : NaN;
}
const helpers = {
  equals: (a, b) => equal(a, b),
  notEquals: (a, b) => !equal(a, b),
  greaterThan: (a, b) => order(a, b) > 0,
  lessThan: (a, b) => order(a, b) < 0,
  and: (...a) => a.find(v => !holds(v)) ?? a.at(-1),
  or: (...a) => a.find(holds) ?? a.at(-1),
  not: a => !holds(a),
  length: a => (typeof a === 'string' || Array.isArray(a) ? a.length : 0),
  insert: (v, d) => (gone(v) || v === '' ? (d ?? '').replace(/^default=/, '') : v),
  formatDate: formatDate,
};
function formatDate(time, format, zone) {
  let at = typeof time === 'number' ? time * 1000 : Date.parse(/T/.test(time) ? time : time + 'T00:00:00Z');
  const offset = /^([+-])(\d\d):?(\d\d)$/.exec(zone ?? '+0000');
  at += (offset[1] === '-' ? -1 : 1) * (Number(offset[2]) * 60 + Number(offset[3])) * 60000;
  const d = new Date(at), two = n => String(n).padStart(2, '0');
  const name = o => d.toLocaleDateString('en-US', { timeZone: 'UTC', ...o });
  const fields = {
    YYYY: d.getUTCFullYear(), YY: two(d.getUTCFullYear() % 100), MMMM: name({ month: 'long' }), MMM: name({ month: 'short' }),
    MM: two(d.getUTCMonth() + 1), M: d.getUTCMonth() + 1, dddd: name({ weekday: 'long' }), ddd: name({ weekday: 'short' }),
    DD: two(d.getUTCDate()), D: d.getUTCDate(), HH: two(d.getUTCHours()), H: d.getUTCHours(),
    hh: two(d.getUTCHours() % 12 || 12), h: d.getUTCHours() % 12 || 12, mm: two(d.getUTCMinutes()), m: d.getUTCMinutes(),
    ss: two(d.getUTCSeconds()), s: d.getUTCSeconds(), A: d.getUTCHours() < 12 ? 'AM' : 'PM', a: d.getUTCHours() < 12 ? 'am' : 'pm',
    ZZ: offset[1] + offset[2] + offset[3], Z: offset[1] + offset[2] + ':' + offset[3],
  };
  return format.replace(/\[([^\]]*)\]|YYYY|YY|MMMM|MMM|MM|M|dddd|ddd|DD|D|HH|H|hh|h|mm|m|ss|s|A|a|ZZ|Z/g, (token, text) => text ?? fields[token]);
}

// Handlebars hands the helper's options over as its last value, which ours do not want.
function register(engine) {
  for (const [name, run] of Object.entries(helpers)) {
    engine.registerHelper(name, function (...args) {
      const options = args.pop();
      const v = 'default' in options.hash ? run(...args, options.hash.default) : run(...args);
      return options.fn ? (holds(v) ? options.fn(this) : options.inverse(this)) : v;
    });
  }
  engine.registerHelper('raw', function (options) { return options.fn(); });
}

function expectation(c) {
  const engine = Handlebars.create();
  register(engine);
  for (const [name, source] of Object.entries(c.partials ?? {})) engine.registerPartial(name, source);
  try {
    return engine.compile(c.template)(c.data ?? {});
  } catch {
    return null;
  }
}

let count = 0, wrong = 0;
for (const file of readdirSync(here).filter(f => f.endsWith('.json')).sort()) {
  const cases = JSON.parse(readFileSync(join(here, file), 'utf8'));
  for (const c of cases) {
    const expected = expectation(c);
    count++;
    if (process.argv.includes('--check') && c.expected !== expected) {
      wrong++;
      console.log(`${file}: ${JSON.stringify(c.template)} gives ${JSON.stringify(expected)}, not ${JSON.stringify(c.expected)}`);
    }
    c.expected = expected;
  }
  if (!process.argv.includes('--check')) {
    writeFileSync(join(here, file), '[\n' + cases.map(c => JSON.stringify(c)).join(',\n') + '\n]\n');
  }
}
console.log(`handlebars ${Handlebars.VERSION}: ${count} cases, ${wrong} differ`);
process.exit(wrong ? 1 : 0);
