// One stream: an EventSource that reads it, and a queue that writes to it.

export const uuid = () => {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // plain http on another machine
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
};

const jittered = (ms) => ms * (0.5 + Math.random() / 2);

// Reads from the first event on, then live. EventSource reconnects by itself with the id of the
// last event; this counts what comes and looks whether it is each event once, in order.
export class Reader {
  constructor(path, query, { onEvent, onReset, onChange, onViolation }) {
    this.state = "connecting";
    this.last = 0; // sequence
    this.epoch = null;
    this.cursor = "";
    this.received = this.repeated = this.gaps = this.connects = this.violations = 0;
    this.path = path;
    this.query = query;
    this.hooks = { onEvent, onReset, onChange, onViolation };
    this.failures = 0;
    addEventListener("online", () => this.state === "live" || this.open());
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    if (this.source) this.source.close();
    const query = new URLSearchParams(this.query);
    if (this.cursor) query.set("last_event_id", this.cursor);
    const source = new EventSource(`${this.path}?${query}`);
    this.source = source;
    source.onopen = () => {
      this.connects += 1;
      this.failures = 0;
      this.set("live");
    };
    source.onmessage = (message) => this.take(message);
    source.addEventListener("gap", (message) => this.gap(JSON.parse(message.data)));
    source.addEventListener("end", (message) => this.end(JSON.parse(message.data)));
    source.onerror = () => {
      if (source !== this.source || this.over) return;
      this.set("reconnecting");
      // A browser gives up for ever after some answers (a 503, a wrong type); we do not.
      if (source.readyState === EventSource.CLOSED) {
        this.timer = setTimeout(() => this.open(), jittered(Math.min(10000, 500 * 2 ** this.failures)));
        this.failures += 1;
      }
    };
  }

  take(message) {
    const event = JSON.parse(message.data);
    const epoch = event.cursor.split("_")[0];
    this.received += 1;
    if (epoch === this.epoch && event.sequence <= this.last) {
      this.repeated += 1;
      this.hooks.onChange();
      return;
    }
    if (event.sequence !== this.last + 1 || (this.epoch !== null && epoch !== this.epoch)) {
      this.violations += 1;
      this.hooks.onViolation(`expected event ${this.last + 1}, received ${event.cursor}`);
    }
    this.epoch = epoch;
    this.last = event.sequence;
    this.cursor = event.cursor;
    this.hooks.onEvent(event);
    this.hooks.onChange();
  }

  gap(gap) {
    // What we hold is not this stream any more (it was deleted, or it is another server): begin
    // again where the server says.
    this.gaps += 1;
    const [epoch, sequence] = String(gap.next).split("_");
    this.epoch = sequence === undefined ? null : epoch;
    this.last = Number(sequence) || 0;
    this.cursor = gap.next || "";
    this.hooks.onReset();
    this.hooks.onChange();
  }

  end(end) {
    if (end.retry !== false) return; // EventSource comes back by itself
    this.over = true;
    this.source.close();
    this.set(end.reason);
  }

  set(state) {
    this.state = state;
    this.hooks.onChange();
  }
}

// Sends events in order, one request at a time, until each is acknowledged. An event has its id
// before the first try, so trying again never stores it twice.
export class Sender {
  constructor(path, headers, { onRefused, onChange, store }) {
    this.path = path;
    this.headers = { ...headers, "Content-Type": "application/json", Prefer: "return=minimal" };
    this.hooks = { onRefused, onChange };
    this.store = store;
    this.queue = this.restored();
    this.sent = this.retries = this.failures = 0;
    this.busy = false;
    addEventListener("online", () => this.soon(0));
    this.soon(0);
  }

  get waiting() {
    return this.queue.length;
  }

  push(event) {
    this.queue.push(event);
    this.changed();
    this.soon(0);
  }

  // An event was seen in the stream, so it is in, whatever became of the answer.
  seen(eventId) {
    const at = this.queue.findIndex((event) => event.event_id === eventId);
    if (at < 0) return false;
    this.queue.splice(at, 1);
    this.changed();
    return true;
  }

  soon(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), ms);
  }

  async send() {
    if (this.busy || !this.queue.length) return;
    this.busy = true;
    const batch = this.queue.slice(0, 50);
    let wait = 0;
    try {
      const response = await fetch(this.path, {
        method: "POST",
        headers: this.headers,
        body: JSON.stringify(batch),
        signal: AbortSignal.timeout(10000),
      });
      if (response.ok) {
        this.sent += batch.length;
        this.failures = 0;
        batch.forEach((event) => this.seen(event.event_id));
      } else {
        wait = await this.refused(response, batch);
      }
    } catch {
      this.retries += 1; // cut off on the way: it may be in or not; the same ids again
      wait = jittered(Math.min(5000, 200 * 2 ** this.failures));
      this.failures += 1;
    }
    this.busy = false;
    this.hooks.onChange();
    if (this.queue.length) this.soon(wait);
  }

  async refused(response, batch) {
    if (response.status === 429 || response.status >= 500 || response.status === 408) {
      this.retries += 1;
      this.failures += 1;
      const asked = Number(response.headers.get("Retry-After")) * 1000;
      return asked || jittered(Math.min(5000, 200 * 2 ** this.failures));
    }
    const problem = await response.json().catch(() => ({ detail: `answer ${response.status}` }));
    batch.forEach((event) => this.seen(event.event_id));
    this.hooks.onRefused(problem, batch);
    return 0;
  }

  changed() {
    if (this.store) {
      try {
        sessionStorage.setItem(this.store, JSON.stringify(this.queue));
      } catch {
        // no room or no permission: the queue then lives as long as the page
      }
    }
    this.hooks.onChange();
  }

  restored() {
    try {
      return (this.store && JSON.parse(sessionStorage.getItem(this.store))) || [];
    } catch {
      return [];
    }
  }
}
