// browsers.mjs: the system's real browsers, driven through their own protocols; and what the tests
// read from a page: pixels of a canvas, and the data behind it.
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.NODE_FOLDER, "index.js"));
const puppeteer = require("puppeteer-core");

export const pages = process.env.PAGES;
export const shots = process.env.SHOTS;
mkdirSync(shots, { recursive: true });

const LAUNCH = {
  chromium: {
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--force-device-scale-factor=1", "--force-color-profile=srgb"],
  },
  firefox: { browser: "firefox", executablePath: "/usr/bin/firefox-esr" },
};

export const browsers = Object.keys(LAUNCH).filter(
  (name) => !process.env.BROWSER || process.env.BROWSER === name,
);

export const launch = (name) => puppeteer.launch({ headless: true, ...LAUNCH[name] });

// Opens one of the pages and waits until it is drawn; errors of its script fail the test.
export async function open(browser, name, { width = 1280, height = 560 } = {}) {
  const page = await browser.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(error.message));
  await page.setViewport({ width, height });
  await page.goto(`file://${pages}/${name}`);
  await page.waitForSelector("html[data-ready]");
  await drawn(page);
  return page;
}

// Returns when all that was asked for is on the canvas.
export const drawn = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

export const range = (page) => page.evaluate("sundogTimeline.range");

// The moment under a pixel of the chart, by the page's own data.
export const timeAt = (page, x) =>
  page.evaluate((at) => {
    const { begin, end, gutter, width } = sundogTimeline.scene;
    return begin + ((at - gutter) / (width - gutter)) * (end - begin);
  }, x);

// Where the chart lies in the page.
export const chartBox = (page) =>
  page.evaluate(() => {
    const { x, y, width, height } = document.querySelector(".st-chart").getBoundingClientRect();
    return { x, y, width, height };
  });

// Bars that a vertical line through the chart meets at `time`: runs of pixels in a bar's colour.
export const barsAt = (page, time) =>
  page.evaluate((at) => {
    const view = sundogTimeline;
    view.leave();
    view.paint();
    const { begin, end, gutter, width, colors } = view.scene;
    const canvas = view.chart;
    const ratio = canvas.width / width;
    const x = Math.round((gutter + ((at - begin) / (end - begin)) * (width - gutter)) * ratio);
    const column = canvas.getContext("2d").getImageData(x, 0, 1, canvas.height).data;
    const wanted = new Set(colors.bars.map((hex) => parseInt(hex.slice(1), 16)));
    let runs = 0;
    let inside = false;
    for (let i = 0; i < column.length; i += 4) {
      const is = wanted.has((column[i] << 16) | (column[i + 1] << 8) | column[i + 2]);
      runs += is && !inside;
      inside = is;
    }
    return runs;
  }, time);

// How many pixels of the chart differ between two moments.
export const picture = (page) =>
  page.evaluate(() => {
    sundogTimeline.leave();
    sundogTimeline.paint();
    const canvas = sundogTimeline.chart;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const before = window.lastPicture;
    window.lastPicture = data;
    if (!before || before.length !== data.length) return -1;
    let different = 0;
    for (let i = 0; i < data.length; i += 4)
      different += data[i] !== before[i] || data[i + 1] !== before[i + 1] || data[i + 2] !== before[i + 2];
    return different;
  });

export async function drag(page, from, to, key) {
  if (key) await page.keyboard.down(key);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2);
  await page.mouse.move(to.x, to.y);
  await page.mouse.up();
  if (key) await page.keyboard.up(key);
  await drawn(page);
}

// The middle of a task's bar, in the page.
export const placeOf = (page, task) =>
  page.evaluate((index) => {
    const view = sundogTimeline;
    const { begin, end, gutter, width, scroll, layout } = view.scene;
    const { start, stop, row } = view.data.tasks;
    const box = view.chart.getBoundingClientRect();
    const middle = (Math.max(start[index], begin) + Math.min(stop[index], end)) / 2;
    const x = gutter + ((middle - begin) / (end - begin)) * (width - gutter);
    const band = layout.byRow[row[index]];
    return { x: box.x + x, y: box.y + 28 + band.top + 13 - scroll };
  }, task);
