// Two windows of the demo page talk and type while somebody cuts their network.
// Prints one JSON object: what was said and typed, and what each window shows at the end.
//
//   node two_windows.mjs URL CHROMIUM ROUNDS [SCREENSHOT.png]

import { chromium } from "playwright-core";

const [url, executablePath, rounds, screenshot] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});

async function open(context, name) {
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error)));
  for (;;) {
    // the page itself comes through the cut network, too
    try {
      await page.goto(`${url}/demo/?nick=${name}`, { waitUntil: "load", timeout: 10000 });
      await page.waitForFunction(() => globalThis.eventspine, null, { timeout: 5000 });
      return page;
    } catch {
      page.problems.length = 0;
    }
  }
}

const context = await browser.newContext({
  viewport: { width: 1180, height: 720 },
  colorScheme: screenshot?.includes("dark") ? "dark" : "light",
});
const pages = [await open(context, "ann"), await open(context, "bob")];
const said = [];
const typed = [];

async function talk(page, name, count) {
  const canvas = page.locator("#canvas");
  for (let n = 0; n < count; n += 1) {
    if (n % 10 === 0) {
      // as a person does it
      await page.locator("#text").fill(`${name} ${n}`);
      await page.locator("#say button").click();
    } else {
      await page.evaluate((text) => globalThis.eventspine.say(text), `${name} ${n}`);
    }
    said.push(`${name} ${n}`);
    const token = `${name}${n};`;
    if (name === "bob" && n % 20 === 0) {
      await canvas.focus();
      await page.keyboard.press("Control+Home");
    }
    await canvas.pressSequentially(token);
    typed.push(token);
  }
}

await Promise.all([talk(pages[0], "ann", Number(rounds)), talk(pages[1], "bob", Number(rounds))]);

// Quiet: nothing left to send, and both windows have read as far as either has.
const standing = () => {
  const { chatReader, chatSender, canvasReader, canvasSender, canvas } = globalThis.eventspine;
  return {
    unsent: chatSender.waiting + canvasSender.waiting + canvas.unsent,
    at: `${chatReader.cursor} ${canvasReader.cursor}`,
  };
};
for (;;) {
  const [one, two] = await Promise.all(pages.map((page) => page.evaluate(standing)));
  if (one.unsent + two.unsent === 0 && one.at === two.at) break;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const windows = await Promise.all(pages.map(async (page) => ({
  ...(await page.evaluate(() => {
    const { chatReader, chatSender, canvasReader, canvasSender, canvas, chatIds } = globalThis.eventspine;
    const figures = (reader) => ({
      last: reader.last, cursor: reader.cursor, received: reader.received, repeated: reader.repeated,
      gaps: reader.gaps, violations: reader.violations, connects: reader.connects,
    });
    return {
      chat: figures(chatReader), canvas: figures(canvasReader), chatIds,
      text: canvas.text, shown: document.querySelector("#canvas").value,
      retries: chatSender.retries + canvasSender.retries,
      messages: document.querySelectorAll("#messages li").length,
      unsentShown: document.querySelectorAll("#messages li.unsent").length,
      red: !document.querySelector("#violation").hidden,
      trouble: document.querySelector("#trouble").textContent,
    };
  })),
  problems: page.problems,
})));
if (screenshot) await pages[0].screenshot({ path: screenshot });
await browser.close();
process.stdout.write(JSON.stringify({ said, typed, windows }));
