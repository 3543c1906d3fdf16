// lab_test.mjs: JupyterLab as a person uses it, in the system's Chromium: the cells of a notebook are
// run one by one, and what stands under them is looked at. `make lab-test` brings JupyterLab, in an
// environment of its own, and runs this; LAB is its `jupyter`, FOLDER a scratch folder.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";

const require = createRequire(path.join(process.env.NODE_FOLDER, "index.js"));
const puppeteer = require("puppeteer-core");
const folder = process.env.FOLDER;
const WAIT_MS = 30_000;
const KEY_MS = 1000; // a notebook that is still loading takes no keys

const CELLS = [
  "import os, time, sundog\nfrom sundog.experimental import ui\nsundog.init(num_cpus=4)",
  "@sundog.remote\ndef slow(number):\n    print('hello', number)\n    return number\nsundog.get(slow.remote(1))",
  "sundog.get([slow.remote(number) for number in range(3)])\nui.task_timeline()",
  "numbers = sundog.get([slow.remote(number) for number in range(5)])",
  "@sundog.remote\ndef nap():\n    time.sleep(60)\nsundog.get(nap.remote())",
  "'still here'",
  "sundog.shutdown()",
];

function notebook(cells) {
  return JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: "python3", display_name: "Python 3", language: "python" } },
    cells: cells.map((source, id) => ({
      id: `cell-${id}`, cell_type: "code", metadata: {}, source, outputs: [], execution_count: null,
    })),
  });
}

// The server, and the address under which a browser may use it.
async function startLab() {
  const options = ["--no-browser", "--allow-root", "--ServerApp.port=0", `--ServerApp.root_dir=${folder}`,
    "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"];
  const lab = spawn(process.env.LAB, ["lab", ...options], { stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of createInterface({ input: lab.stderr })) {
    const found = line.match(/(http:\/\/127\.0\.0\.1:\d+\/lab)\?token=(\w+)/);
    if (found) return { lab, address: `${found[1]}/tree/hour.ipynb?token=${found[2]}&reset` };
  }
  throw new Error("JupyterLab did not start");
}

describe("JupyterLab", () => {
  let lab;
  let browser;
  let page;
  let frame;

  before(async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, "hour.ipynb"), notebook(CELLS));
    const started = await startLab();
    lab = started.lab;
    lab.stderr.resume();
    browser = await puppeteer.launch({
      headless: true, executablePath: "/usr/bin/chromium", args: ["--no-sandbox"],
    });
    page = await browser.newPage();
    page.setDefaultTimeout(WAIT_MS);
    await page.setViewport({ width: 1280, height: 2600 }); // all cells are in the page
    await page.goto(started.address);
    await page.waitForSelector(".jp-Notebook .jp-CodeCell .cm-content");
    await page.waitForSelector('[data-status="idle"]');
  });
  after(async () => {
    if (browser) await browser.close();
    if (!lab) return;
    lab.kill("SIGTERM");
    await once(lab, "exit");
  });

  const cell = async (number) => (await page.$$(".jp-Notebook .jp-CodeCell"))[number];
  const prompt = async (number) =>
    (await cell(number)).$eval(".jp-InputPrompt", (element) => element.textContent);
  const output = async (number) =>
    (await cell(number)).$$eval(".jp-OutputArea-output", (all) => all.map((each) => each.innerText).join("\n"));
  const until = async (condition, what) => {
    const deadline = Date.now() + WAIT_MS;
    while (!(await condition())) assert.ok(Date.now() < deadline, what);
  };
  const press = async (number) => {
    await (await (await cell(number)).$(".cm-content")).click();
    await page.keyboard.down("Shift");
    await page.keyboard.press("Enter");
    await page.keyboard.up("Shift");
  };
  const taken = async (number) => !/\[ ?\]/.test(await prompt(number));
  const start = async (number) => {
    await until(async () => {
      await press(number);
      const pressed = Date.now();
      while (!(await taken(number)) && Date.now() - pressed < KEY_MS);
      return taken(number);
    }, `cell ${number} runs`);
  };
  const run = async (number) => {
    await start(number);
    await until(async () => /\[\d+\]/.test(await prompt(number)), `cell ${number} has ended`);
    return output(number);
  };
  const tasks = () => frame.evaluate("sundogTimeline.data.tasks.count");

  it("shows a table for init", async () => {
    await run(0);
    const rows = await (await cell(0)).$$eval("table tr", (all) => all.length);
    assert.ok(rows >= 4, `${rows} rows`);
  });

  it("shows what a task prints under the cell", async () => {
    assert.match(await run(1), /^\(slow pid=\d+\) hello 1\n+1$/);
  });

  it("shows the timeline inline", async () => {
    await run(2);
    frame = await (await (await cell(2)).waitForSelector('iframe[title="Task timeline"]')).contentFrame();
    await frame.waitForSelector("html[data-ready]");
    assert.equal(await tasks(), 4);
  });

  it("brings new tasks into the timeline by its Refresh button", async () => {
    await run(3);
    assert.equal(await tasks(), 4);
    await (await frame.waitForSelector("button ::-p-text(Refresh)")).click();
    await frame.waitForFunction("sundogTimeline.data.tasks.count === 9");
    await page.screenshot({ path: path.join(folder, "lab.png") });
  });

  it("says what a long get waits for, and interrupts it", async () => {
    await start(4);
    await until(async () => /waiting \d+ s for nap/.test(await output(4)), "a line about the wait");
    const began = performance.now();
    await page.keyboard.press("Escape");
    await page.keyboard.press("i");
    await page.keyboard.press("i");
    await until(async () => /KeyboardInterrupt/.test(await output(4)), "the cell was interrupted");
    console.log(`interrupted after ${Math.round(performance.now() - began)} ms`);
    assert.match(await run(5), /still here/);
  });

  it("says how to see new tasks when there is no session any more", async () => {
    await run(6);
    await (await frame.waitForSelector("button ::-p-text(Refresh)")).click();
    await frame.waitForFunction(() => /run this cell again/.test(document.body.innerText));
    assert.equal(await tasks(), 9);
  });
});
