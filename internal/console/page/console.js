// The plain page: a client of the public API. Every text from a message becomes a text
// node; nothing here writes markup from data.
"use strict";

const $ = (id) => document.getElementById(id);
const POLL_MS = 1500;
const PAGE = 50;

let key = "";
let session = false; // logged in: the browser sends a cookie this script never sees
let wanted = "test"; // the environment a session looks at
let token = "";      // of the set-up link
let live = true;
let environment = "";
let project = "";
let newest = "";     // a digest of what the list shows: only a changed one is drawn
let rowsShown = PAGE;
let timer = 0;
let round = 0;       // answers of an older round are dropped

// node makes an element: node("p", {class: "x"}, "text", child).
function node(name, attributes, ...children) {
  const n = document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) n.setAttribute(k, v);
  for (const c of children) if (c !== null && c !== undefined) n.append(c);
  return n;
}

class Refused extends Error {
  constructor(status, problem) {
    super((problem && problem.detail) || "The server answered " + status + ".");
    this.status = status;
    this.problem = problem || {};
  }
}

async function ask(path, options) {
  const who = key ? { Authorization: "Bearer " + key } : { "X-Postroad-Environment": wanted };
  const response = await fetch(path, {
    ...options, cache: "no-store", credentials: key ? "omit" : "same-origin",
    headers: { ...who, Accept: "application/json", ...(options && options.headers) },
  });
  const text = await response.text();
  let body = null;
  try { body = text ? JSON.parse(text) : null; } catch { /* not JSON: the status tells enough */ }
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

// ---- the login ------------------------------------------------------------------------

// post sends a login's form and gives nothing: what counts is the cookie that comes back.
const post = (path, fields) => ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });

async function findSession() {
  if (key || token) return;
  try { await ask("/v1/session"); session = true; } catch { session = false; }
}

async function logIn(form, fault, path, fields) {
  $(fault).textContent = "";
  try {
    await post(path, fields);
  } catch (e) {
    $(fault).textContent = e instanceof Refused ? e.message : "The server cannot be reached.";
    return;
  }
  for (const input of form.querySelectorAll("input")) input.value = "";
  session = true;
  token = "";
  environment = "";
  if (location.pathname === "/setup") history.replaceState(null, "", "/");
  await show();
}

async function leave() {
  environment = "";
  if (session && !key) {
    try { await ask("/v1/session", { method: "DELETE" }); } catch { /* it is over, or will be */ }
    session = false;
  }
  forget();
}

// ---- the key --------------------------------------------------------------------------

function takeKey() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.get("key")) {
    remember(fragment.get("key"));
    history.replaceState(null, "", location.pathname + location.search);
  }
  if (location.pathname === "/setup" && fragment.get("token")) {
    token = fragment.get("token");
    history.replaceState(null, "", "/setup"); // it must not stay in the address
  }
  try { key = key || sessionStorage.getItem("postroad.key") || ""; } catch { /* storage is off */ }
}

function remember(value) {
  key = value;
  try { sessionStorage.setItem("postroad.key", value); } catch { /* stays in memory only */ }
}

function forget() {
  key = "";
  try { sessionStorage.removeItem("postroad.key"); } catch { /* nothing kept */ }
  document.body.classList.remove("test");
  history.replaceState(null, "", "/");
  show();
}

async function enter() {
  const me = await ask("/v1/me");
  environment = me.environment || (me.key && me.key.environment) || "";
  const named = me.project && (me.project.name || me.project);
  project = typeof named === "string" ? named : "";
  document.body.classList.toggle("test", environment === "test");
  $("where").textContent = project;
  $("env").textContent = environment === "test" ? "TEST" : "LIVE";
  $("from-field").hidden = environment === "test";
  $("switch").textContent = environment === "test" ? "Show live" : "Show test";
}

// ---- which view -----------------------------------------------------------------------

// A message's address is the one in the API's answers: /p/PROJECT/messages/ID.
function selected() {
  const m = /^\/p\/[^/]+\/messages\/([^/]+)$/.exec(location.pathname);
  return m ? decodeURIComponent(m[1]) : "";
}

const addressOf = (id) => (id ? "/p/" + encodeURIComponent(project || "default") + "/messages/" + encodeURIComponent(id) : "/");

function open(id) {
  history.pushState(null, "", addressOf(id));
  show().then(() => (id ? $("detail-title") : $("main")).focus());
}

async function show() {
  clearTimeout(timer);
  round++;
  const known = key !== "" || session && token === "";
  $("enter").hidden = known || token !== "";
  $("setup").hidden = known || token === "";
  $("switch").hidden = !session || key !== "";
  $("leave").textContent = key ? "Forget key" : "Log out";
  for (const id of ["env", "refresh", "leave"]) $(id).hidden = !known;
  $("inbox").hidden = !known || selected() !== "";
  $("detail").hidden = !known || selected() === "";
  $("status").textContent = "";
  if (!known) { $("where").textContent = ""; (token ? $("new-password") : $("password")).focus(); return; }
  if (selected()) clearDetail();
  newest = "";
  await refresh();
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++round;
  try {
    if (!environment) await enter();
    if (selected()) await refreshDetail(mine); else await refreshList(mine);
    if (mine === round) $("status").textContent = "";
  } catch (e) {
    if (mine !== round) return;
    if (e instanceof Refused && e.status === 401) { reject(e); return; }
    $("status").textContent = e instanceof Refused ? e.message : "The server cannot be reached; trying again.";
  }
  if (mine === round && live) timer = setTimeout(refresh, document.hidden ? POLL_MS * 10 : POLL_MS);
}

function reject(e) {
  const fault = key ? "enter-fault" : "login-fault";
  environment = "";
  session = false;
  forget();
  $(fault).textContent = e.message;
}

// ---- the list -------------------------------------------------------------------------

async function refreshList(mine) {
  const list = await readPages(rowsShown);
  if (mine !== round) return;
  const digest = JSON.stringify(list.data.map((m) => [m.message_id, m.status, m.last_event && m.last_event.at]));
  $("empty").hidden = list.data.length > 0;
  $("more").hidden = !list.has_more;
  document.title = "(" + list.data.length + (list.has_more ? "+" : "") + ") Messages · Postroad";
  if (digest === newest) { for (const t of $("rows").querySelectorAll("time")) t.textContent = age(t.dateTime); return; }
  newest = digest;
  const focused = document.activeElement && document.activeElement.dataset.message;
  $("rows").replaceChildren(...list.data.map(row));
  if (focused) { const again = $("rows").querySelector('[data-message="' + CSS.escape(focused) + '"]'); if (again) again.focus(); }
}

// readPages reads as many pages as are shown; a server may give fewer a page than asked.
async function readPages(wanted) {
  let data = [], cursor = "", more = true;
  while (more && data.length < wanted) {
    const page = await ask("/v1/messages?include=last_event&limit=" + PAGE + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""));
    data = data.concat(page.data);
    more = page.has_more;
    cursor = page.next_cursor || "";
    if (page.data.length === 0) break;
  }
  return { data, has_more: more };
}

function row(m) {
  const link = node("a", { href: addressOf(m.message_id), "data-message": m.message_id }, m.subject || "(no subject)");
  const explained = ["deferred", "bounced", "complained", "suppressed", "failed", "held"].includes(m.status);
  const why = explained && m.last_event && m.last_event.summary;
  const to = m.recipient + (m.recipient_count > 1 ? " +" + (m.recipient_count - 1) : "");
  return node("tr", {},
    node("td", {}, state(m.status)),
    node("td", {}, to),
    node("td", {}, link, why ? node("span", { class: "why" }, why) : null),
    node("td", { class: "end" }, node("time", { datetime: m.created_at, title: m.created_at }, age(m.created_at))));
}

const STATES = ["scheduled", "rescheduled", "queued", "accepted", "deferred", "held", "delivered", "bounced", "complained", "suppressed", "cancelled", "expired", "failed"];

// state is shape and colour by class, and the word itself.
function state(name) {
  return node("span", { class: "state " + (STATES.includes(name) ? name : "") }, String(name));
}

function age(time) {
  const s = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (s < 60) return Math.floor(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " m";
  if (s < 86400) return Math.floor(s / 3600) + " h";
  return Math.floor(s / 86400) + " d";
}

const clock = (time) => (time || "").slice(11, 23);

// ---- one message ----------------------------------------------------------------------

let contentOf = "";  // id of the message whose content is drawn: it never changes
let detailDigest = "";

function clearDetail() {
  contentOf = detailDigest = "";
  $("detail-title").textContent = "…";
  for (const id of ["sentence", "facts", "recipients", "timeline", "attempts", "content"]) $(id).replaceChildren();
}

async function refreshDetail(mine) {
  const id = selected();
  const path = "/v1/messages/" + encodeURIComponent(id);
  const [message, events, attempts] = await Promise.all([ask(path), ask(path + "/events"), ask(path + "/attempts")]);
  if (mine !== round) return;
  const digest = JSON.stringify([message.status, events.data.length, attempts.data.length]);
  if (digest !== detailDigest) {
    detailDigest = digest;
    drawMessage(message, events.data);
    $("timeline").replaceChildren(...events.data.map(drawEvent));
    $("attempts").replaceChildren(...(attempts.data.length ? attempts.data.map(drawAttempt) : [node("p", { class: "muted" }, "No attempt yet.")]));
  }
  if (contentOf !== id) { contentOf = id; await drawContent(path, mine); }
}

function drawMessage(m, events) {
  document.title = (m.subject || "(no subject)") + " · Postroad";
  $("detail-title").textContent = m.subject || "(no subject)";
  const last = events.length ? events[events.length - 1] : null;
  $("sentence").replaceChildren(state(m.status), last && last.summary ? " " + last.summary : "",
    m.latency_ms && m.latency_ms.total ? " (" + m.latency_ms.total + " ms after acceptance)" : "");
  const from = typeof m.from === "string" ? m.from : m.from ? (m.from.name ? m.from.name + " <" + m.from.email + ">" : m.from.email) : "";
  const facts = [["Message", m.message_id], ["From", from], ["Created", m.created_at], ["Scheduled", m.scheduled_time],
    ["Expires", m.expires_at], ["Priority", m.priority], ["Tags", (m.tags || []).join(", ")], ["Message-ID", m.rfc_message_id],
    ["Size", m.size_bytes ? m.size_bytes + " bytes" : ""], ["Idempotency key", m.idempotency_key]];
  $("facts").replaceChildren(...facts.filter(([, v]) => v).flatMap(([k, v]) => [node("dt", {}, k), node("dd", { class: k.startsWith("Message") ? "mono" : "" }, String(v))]));
  $("recipients").replaceChildren(...(m.recipients || []).map((r) => node("li", {}, state(r.status), " " + r.type + ": " + r.email,
    r.last_reply ? node("span", { class: "why mono" }, replyText(r.last_reply)) : null,
    r.next_attempt_at ? node("span", { class: "why" }, "next attempt " + r.next_attempt_at) : null)));
}

const replyText = (r) => [r.code || "", r.enhanced || "", r.text || ""].filter(Boolean).join(" ");

function drawEvent(e) {
  const name = String(e.type).replace(/^message\./, "");
  return node("li", {}, node("time", { datetime: e.at, title: e.at, class: "mono" }, clock(e.at)), state(name),
    node("span", {}, e.summary || "", e.recipient ? node("span", { class: "why" }, e.recipient) : null,
      e.next_attempt_at ? node("span", { class: "why" }, "next attempt " + clock(e.next_attempt_at) + " UTC") : null));
}

function drawAttempt(a) {
  const mx = a.mx || {}, tls = a.tls;
  const where = [mx.used, mx.ip, tls ? tls.version + (tls.verified ? ", verified" : ", not verified") : "in clear"].filter(Boolean).join(" · ");
  const lines = (a.transcript || []).map((l) => node("li", { class: "from-" + l.dir },
    node("span", { class: "ms" }, l.t_ms + " ms"), node("span", {}, l.dir), node("span", {}, l.line)));
  const box = node("details", {}, node("summary", {}, "Attempt " + a.number + " ", state(a.outcome === "uncertain" ? "deferred" : a.outcome), " " + replyText(a.reply || {})),
    node("p", { class: "muted" }, where + " · " + a.duration_ms + " ms"),
    a.advice ? node("p", {}, a.advice) : null, node("ol", { class: "transcript mono" }, ...lines));
  box.open = true;
  return box;
}

async function drawContent(path, mine) {
  let c;
  try { c = await ask(path + "/content"); } catch (e) {
    if (mine === round) $("content").replaceChildren(node("p", { class: "muted" }, e.message));
    return;
  }
  if (mine !== round) return;
  const parts = [];
  if (c.html) {
    const frame = node("iframe", { sandbox: "", title: "The mail's HTML", referrerpolicy: "no-referrer" });
    frame.srcdoc = c.html;
    parts.push(frame, node("p", { class: "muted" }, "Shown without the mail's own styles, scripts and remote images."));
  }
  if (c.text) parts.push(node("pre", { tabindex: "0", "aria-label": "Text" }, c.text));
  if (c.html) parts.push(node("details", {}, node("summary", {}, "HTML source"), node("pre", { tabindex: "0" }, c.html)));
  const headers = Object.entries(c.headers || {});
  if (headers.length) parts.push(node("details", {}, node("summary", {}, "Headers"), node("pre", { tabindex: "0" }, headers.map(([k, v]) => k + ": " + v).join("\n"))));
  for (const a of c.attachments || []) parts.push(node("p", {}, "Attachment: " + a.filename + " (" + a.content_type + ", " + a.size_bytes + " bytes)"));
  $("content").replaceChildren(...parts);
}

// ---- sending --------------------------------------------------------------------------

async function send(event) {
  event.preventDefault();
  const form = $("send-form"), button = form.querySelector("button");
  const request = {};
  for (const [k, v] of new FormData(form)) if (v !== "" && !(k === "from" && environment === "test")) request[k] = v;
  $("send-fault").textContent = "";
  for (const input of form.elements) input.removeAttribute("aria-invalid");
  button.disabled = true;
  try {
    const made = await ask("/v1/messages", {
      method: "POST", body: JSON.stringify(request),
      headers: { "Content-Type": "application/json", "Idempotency-Key": newKey() },
    });
    $("status").textContent = "Sent: " + made.message_id;
    await refresh();
  } catch (e) { sendFault(form, e); } finally { button.disabled = false; }
}

// newKey works without a secure context too, where crypto.randomUUID is not to be had.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

function sendFault(form, e) {
  const faults = (e.problem && e.problem.errors) || [];
  $("send-fault").textContent = faults.length ? faults.map((f) => f.message).join("\n") : e.message;
  for (const f of faults) {
    const input = form.elements.namedItem(f.field);
    if (input) input.setAttribute("aria-invalid", "true");
  }
  const first = form.querySelector("[aria-invalid]");
  if (first) first.focus();
}

// ---- start ----------------------------------------------------------------------------

$("enter-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("enter-fault").textContent = "";
  environment = "";
  remember($("key").value.trim());
  $("key").value = "";
  await show();
});
$("send-form").addEventListener("submit", send);
$("back").addEventListener("click", () => open(""));
$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn($("login-form"), "login-fault", "/v1/session", { password: $("password").value });
});
$("setup-form").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn($("setup-form"), "setup-fault", "/v1/session/setup", { token, password: $("new-password").value });
});
$("switch").addEventListener("click", () => {
  wanted = environment === "test" ? "live" : "test";
  environment = "";
  if (selected()) open(""); else show();
});
$("leave").addEventListener("click", leave);
$("more").addEventListener("click", () => { rowsShown += PAGE; refresh(); });
$("refresh").addEventListener("click", () => {
  live = !live;
  $("refresh").textContent = "Refresh: " + (live ? "on" : "off");
  $("refresh").setAttribute("aria-pressed", String(live));
  if (live) refresh(); else clearTimeout(timer);
});
$("rows").addEventListener("click", (event) => {
  const link = event.target.closest("a[data-message]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  open(link.dataset.message);
});
addEventListener("popstate", show);
document.addEventListener("visibilitychange", () => { if (!document.hidden && live && (key || session)) refresh(); });
addEventListener("hashchange", () => { environment = ""; takeKey(); show(); });

takeKey();
findSession().then(show);
