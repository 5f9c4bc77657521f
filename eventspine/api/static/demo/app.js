// The page: two streams side by side. ?chat= and ?canvas= name the streams; tenant, env, mode,
// project, surface and user say in which scope; nothing said means the server's lab default.

import { Canvas } from "./canvas.js";
import { difference, pointsOf, unitsOf } from "./patch.js";
import { Reader, Sender, uuid } from "./stream.js";

const $ = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const SCOPE = {
  tenant: ["tenant_id", "X-Tenant-Id"], env: ["env", "X-Env"], mode: ["mode", "X-Mode"],
  project: ["project_id", "X-Project-Id"], surface: ["surface_id", "X-Surface-Id"],
  user: ["user_id", "X-User-Id"],
};
const query = {};
const headers = {};
for (const [name, [parameter, header]] of Object.entries(SCOPE)) {
  const value = asked.get(name);
  if (!value) continue;
  query[parameter] = value;
  headers[header] = String.fromCharCode(...new TextEncoder().encode(value)); // UTF-8 as it is
}

const author = { id: uuid, name: uuid().slice(0, 8) };
const MESSAGES_MAX = 500;
const SEND_AFTER_MS = 120;

const pathOf = (stream) => `/v1/streams/${encodeURIComponent(stream)}`;
const bar = (id, text) => {
  $(id).textContent = text;
  $(id).hidden = !text;
};
const violated = (stream) => (what) => bar("violation", `${stream} is not dense: ${what}`);
const refused = (problem) => bar("trouble", `Not taken: ${problem.detail || problem.title}. ${problem.remedy || ""}`);

// Many events arrive at once; the page is drawn once a frame, and also when it is not visible.
let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  const go = () => {
    if (!drawing) return;
    drawing = false;
    drawChat();
    drawCanvas();
    drawStatus("chat-status", chatReader, chatSender.waiting);
    drawStatus("canvas-status", canvasReader, canvas.unsent);
  };
  requestAnimationFrame(go);
  setTimeout(go, 100);
}

// --- chat ------------------------------------------------------------------------------------

const chatName = asked.get("chat") || "demo-chat";
let fresh = [];
let cleared = false;
const chatIds = []; // every event shown, in order
const mine = new Set();

const chatSender = new Sender(`${pathOf(chatName)}/events`, headers, {
  onRefused: refused, onChange: () => draw(), store: `eventspine:${chatName}`,
});
const chatReader = new Reader(`${pathOf(chatName)}/sse`, query, {
  onEvent: (event) => {
    chatIds.push(event.event_id);
    chatSender.seen(event.event_id);
    fresh.push(event);
    if (fresh.length > MESSAGES_MAX) fresh = fresh.slice(-MESSAGES_MAX);
  },
  onReset: () => { fresh = []; chatIds.length = 0; cleared = true; },
  onChange: () => draw(),
  onViolation: violated(chatName),
});

function messageItem(event) {
  const { nick, text, at } = event.payload;
  const item = document.createElement("li");
  item.className = event.event_type.replace("chat.", "");
  if (event.event_type !== "chat.message" && event.event_type !== "chat.action") item.className = "system";
  if (mine.has(event.event_id)) item.classList.add("mine");
  if (nick) {
    const name = document.createElement("b");
    name.textContent = nick;
    item.append(name);
  }
  item.append(event.event_type === "chat.nick" ? `is now known as ${text}` : text ?? JSON.stringify(event.payload));
  if (at) item.title = at;
  return item;
}

function drawChat() {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  if (cleared) list.replaceChildren();
  cleared = false;
  list.querySelectorAll(".unsent").forEach((item) => item.remove());
  list.append(...fresh.map(messageItem));
  fresh = [];
  while (list.childElementCount > MESSAGES_MAX) list.firstElementChild.remove();
  for (const event of chatSender.queue) {
    const item = messageItem(event);
    item.classList.add("unsent");
    list.append(item);
  }
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function say(text, nick = $("nick").value.trim() || "guest") {
  const event = {
    event_id: uuid(),
    event_type: "chat.message",
    payload: { nick, text, at: new Date().toISOString() },
  };
  mine.add(event.event_id);
  chatSender.push(event);
  return event.event_id;
}

$("say").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const text = $("text").value;
  if (!text.trim()) return;
  $("text").value = "";
  bar("trouble", "");
  say(text);
});

// --- canvas ----------------------------------------------------------------------------------

const canvasName = asked.get("canvas") || "demo-canvas";
const canvasSender = new Sender(`${pathOf(canvasName)}/events`, headers, {
  onRefused: (problem) => { canvas.refused(); refused(problem); }, onChange: () => draw(),
});
const canvas = new Canvas(author, (event) => canvasSender.push(event));
let composing = false;
let flushing = 0;

const canvasReader = new Reader(`${pathOf(canvasName)}/sse`, query, {
  onEvent: (event) => {
    canvas.take(event);
    canvasSender.seen(event.event_id);
    flushSoon();
  },
  onReset: () => canvas.reset(),
  onChange: () => draw(),
  onViolation: violated(canvasName),
});

let rendered = "";
function drawCanvas() {
  const area = $("canvas");
  if (composing) return; // an input method owns the text; it comes back with an input event
  const text = canvas.text;
  if (text !== area.value) {
    const [start, end, top] = [area.selectionStart, area.selectionEnd, area.scrollTop];
    const place = (units) => unitsOf(text, canvas.caret(pointsOf(rendered, units)));
    area.value = text;
    if (document.activeElement === area) area.setSelectionRange(place(start), place(end));
    area.scrollTop = top;
  }
  rendered = text;
  canvas.drawn();
}

function edited() {
  // textarea.value speaks of what was drawn last; the canvas moves the change to where it is now
  const patch = difference(rendered, $("canvas").value);
  if (!patch) return;
  canvas.edit(patch);
  if (!canvas.moved.length) rendered = $("canvas").value;
  else drawCanvas();
  flushSoon();
}

function flushSoon() {
  clearTimeout(flushing);
  flushing = setTimeout(() => { canvas.flush(); draw(); }, SEND_AFTER_MS);
}

$("canvas").addEventListener("input", () => composing || edited());
$("canvas").addEventListener("compositionstart", () => { composing = true; });
$("canvas").addEventListener("compositionend", () => { composing = false; edited(); draw(); });

// --- status ----------------------------------------------------------------------------------

function drawStatus(id, reader, waiting) {
  const footer = $(id);
  footer.dataset.state = reader.state;
  const parts = [
    ["state", reader.state], ["", `at ${reader.cursor || "the start"}`],
    ["", `${reader.received.toLocaleString("en")} events`],
    [reader.gaps ? "warn" : "", `${reader.gaps} gaps`],
  ];
  if (reader.repeated) parts.push(["", `${reader.repeated} repeated, dropped`]);
  if (waiting) parts.push(["", `${waiting} waiting to be sent`]);
  footer.replaceChildren(...parts.map(([kind, text]) => {
    const part = document.createElement("span");
    part.className = kind;
    part.textContent = text;
    return part;
  }));
}

$("chat-name").textContent = chatName;
$("canvas-name").textContent = canvasName;
$("nick").value = asked.get("nick") || `guest-${author.name.slice(0, 4)}`;
$("twin").href = location.href;
addEventListener("beforeunload", (event) => {
  if (canvas.unsent) event.preventDefault();
});
draw();

// For tests, and for the curious at the console.
globalThis.eventspine = { chatReader, chatSender, canvasReader, canvasSender, canvas, chatIds, say };
