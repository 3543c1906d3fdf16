// timeline_test.mjs: the task timeline in the system's browsers. Pages are timelines of real sessions
// (make_pages.py). `make page-test` runs it and keeps a screenshot of each scene.
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";

import { barsAt, browsers, chartBox, drag, drawn, launch, open, pages, picture, placeOf, range, shots, timeAt } from "./browsers.mjs";

const PAINT_MS_MAX = 16;
const SHOWN_MS_MAX = 1000;
const near = (a, b, tolerance, what) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${what}: ${a} is not ${b} ± ${tolerance}`);

for (const name of browsers) {
  describe(`timeline in ${name}`, () => {
    let browser;
    let page;
    before(async () => {
      browser = await launch(name);
    });
    after(async () => {
      await browser.close();
    });
    const shoot = (scene) => page.screenshot({ path: path.join(shots, `${name}-${scene}.png`) });
    const see = (file, options) => async () => {
      page = await open(browser, file, options);
    };
    const done = async () => {
      assert.deepEqual(page.errors, []);
      await page.close();
    };

    describe("of a tree of tasks", () => {
      before(see("tree.html"));
      after(done);

      it("shows 8, 4, 2, 1 by data and by pixels", async () => {
        const levels = await page.evaluate(() => {
          const { tasks, arrows } = sundogTimeline.data;
          const depth = (i) => Math.max(-1, ...(arrows.into.get(i) || []).map(depth)) + 1;
          const found = [];
          for (let i = 0; i < tasks.count; ++i)
            (found[depth(i)] = found[depth(i)] || []).push([tasks.start[i], tasks.stop[i]]);
          return found;
        });
        assert.deepEqual(levels.map((level) => level.length), [8, 4, 2, 1]);
        for (const level of levels) {
          // A moment at which all of the level ran; the exercise's levels do not overlap.
          const middle = (Math.max(...level.map((t) => t[0])) + Math.min(...level.map((t) => t[1]))) / 2;
          assert.equal(await barsAt(page, middle), level.length);
        }
        await shoot("tree");
      });

      it("says how much there is", async () => {
        const said = await page.$eval(".st-sum", (e) => e.textContent);
        assert.match(said, /^15 tasks · 8 workers · \d+ ms$/);
      });

      it("draws 14 arrows on demand and takes them away", async () => {
        assert.equal(await page.evaluate("sundogTimeline.data.arrows.from.length"), 14);
        await picture(page);
        const [button] = await page.$$("button[aria-pressed]");
        await button.click();
        assert.ok((await picture(page)) > 300);
        assert.equal(await button.evaluate((e) => e.getAttribute("aria-pressed")), "true");
        await shoot("arrows");
        await button.click();
        assert.ok((await picture(page)) > 300);
      });

      it("moves with a drag", async () => {
        await page.evaluate(() => sundogTimeline.zoom(0.5));
        await drawn(page);
        const at = await chartBox(page);
        const held = await timeAt(page, 700);
        await drag(page, { x: at.x + 700, y: at.y + 90 }, { x: at.x + 600, y: at.y + 90 });
        near(await timeAt(page, 600), held, 300, "the moment under the pointer");
        assert.equal(await page.evaluate("sundogTimeline.scene.selected"), -1);
      });

      for (const key of ["", "Alt"]) {
        it(`zooms at the pointer with ${key || "the bare"} wheel`, async () => {
          await page.evaluate(() => sundogTimeline.fit());
          const at = await chartBox(page);
          await page.mouse.move(at.x + 500, at.y + 100);
          const held = await timeAt(page, 500);
          const whole = await range(page);
          if (key) await page.keyboard.down(key);
          await page.mouse.wheel({ deltaY: -240 });
          if (key) await page.keyboard.up(key);
          await page.waitForFunction((span) => sundogTimeline.range.end - sundogTimeline.range.begin < span * 0.8, {}, whole.end - whole.begin);
          near(await timeAt(page, 500), held, 300, "the moment under the pointer");
        });
      }

      it("shows the range that the overview selects", async () => {
        await page.evaluate(() => sundogTimeline.fit());
        await drawn(page);
        const strip = await page.$eval(".st-overview", (e) => e.getBoundingClientRect().toJSON());
        const whole = await page.evaluate("sundogTimeline.data.tasks.end");
        const y = strip.y + strip.height / 2;
        // The right edge to the middle, the window to the right, a new range from outside.
        await drag(page, { x: strip.right - 2, y }, { x: strip.x + 640, y });
        near((await range(page)).end, whole / 2, whole * 0.02, "the right edge");
        await drag(page, { x: strip.x + 300, y }, { x: strip.x + 500, y });
        near((await range(page)).end, whole * (840 / 1280), whole * 0.04, "the moved window");
        await drag(page, { x: strip.x + 1000, y }, { x: strip.x + 1200, y });
        near((await range(page)).begin, whole * (1000 / 1280), whole * 0.02, "the new range");
        near((await range(page)).end, whole * (1200 / 1280), whole * 0.02, "the new range's end");
        await shoot("range");
      });

      it("zooms to a range marked with shift and drag", async () => {
        await page.evaluate(() => sundogTimeline.fit());
        await drawn(page);
        const at = await chartBox(page);
        const [from, to] = [await timeAt(page, 400), await timeAt(page, 600)];
        await drag(page, { x: at.x + 400, y: at.y + 60 }, { x: at.x + 600, y: at.y + 60 }, "Shift");
        const shown = await range(page);
        near(shown.begin, from, 800, "begin");
        near(shown.end, to, 800, "end");
      });

      it("tells about a task under the pointer, and everything after a click", async () => {
        await page.evaluate(() => sundogTimeline.fit());
        const task = await page.evaluate(() => sundogTimeline.data.tasks.kinds.indexOf("multiply") && [...sundogTimeline.data.arrows.into.keys()][0]);
        const place = await placeOf(page, task);
        await page.mouse.move(place.x, place.y);
        await page.waitForSelector(".st-tip:not([hidden])");
        assert.match(await page.$eval(".st-tip", (e) => e.textContent), /^multiply10\d ms · after \d+ ms of waiting · worker \d+$/);
        await shoot("hover");
        await page.mouse.click(place.x, place.y);
        await page.waitForSelector(".st-card:not([hidden])");
        const told = await page.$eval(".st-card dl", (e) =>
          Object.fromEntries([...e.querySelectorAll("dt")].map((dt) => [dt.textContent, dt.nextSibling.textContent])));
        assert.equal(told.Outcome, "finished");
        assert.match(told.Ran, /^10\d ms, from [\d.]+ ms on$/);
        assert.match(told["Waited for inputs"], /ms$/);
        assert.match(told.Worker, /^pid \d+$/);
        assert.match(told.Inputs, /^make_vector 10\d msmake_vector 10\d ms$/);
        assert.match(told["Task id"], /^[0-9a-f]{32}$/);
        await shoot("details");
        await page.click(".st-card .st-link");
        assert.equal(await page.$eval(".st-card h3", (e) => e.textContent), "make_vector");
        await page.keyboard.press("Tab");
        await page.click(".st-close");
        assert.equal(await page.evaluate("sundogTimeline.scene.selected"), -1);
      });

      it("obeys the keyboard", async () => {
        await page.focus(".st-chart");
        await page.keyboard.press("0");
        const whole = await range(page);
        await page.keyboard.press("+");
        const closer = await range(page);
        assert.ok(closer.end - closer.begin < whole.end - whole.begin);
        await page.keyboard.press("ArrowRight");
        assert.ok((await range(page)).begin > closer.begin);
        await page.keyboard.press("n");
        const first = await page.evaluate("sundogTimeline.scene.selected");
        assert.ok(first >= 0);
        assert.match(await page.$eval("[aria-live]", (e) => e.textContent), /^make_vector, finished, ran 10\d ms, worker \d+$/);
        await page.keyboard.press("ArrowDown");
        assert.notEqual(await page.evaluate("sundogTimeline.scene.selected"), first);
        await page.keyboard.press("Escape");
        assert.equal(await page.evaluate("sundogTimeline.scene.selected"), -1);
        await page.keyboard.press("a");
        assert.equal(await page.evaluate("sundogTimeline.scene.arrowsShown"), true);
        await page.keyboard.press("a");
      });

      it("dims what the filter does not name", async () => {
        await page.keyboard.press("0");
        await picture(page);
        await page.type("input", "vector");
        assert.ok((await picture(page)) > 2000);
        await shoot("filter");
        await page.$eval("input", (e) => {
          e.value = "";
          e.dispatchEvent(new Event("input"));
        });
        assert.ok((await picture(page)) > 2000);
      });

      it("has a dark face", async () => {
        await page.evaluate(() => sundogTimeline.setTheme("dark"));
        await page.evaluate(() => sundogTimeline.showArrows(true));
        await drawn(page);
        const [r, g, b] = await page.evaluate(() => {
          const { chart } = sundogTimeline;
          return [...chart.getContext("2d").getImageData(chart.width - 20, chart.height - 20, 1, 1).data];
        });
        assert.ok(r + g + b < 120, `background ${r} ${g} ${b}`);
        await shoot("dark");
      });
    });

    describe("of 10,000 tasks", () => {
      before(see("large.html"));
      after(done);

      it("is shown within a second", async () => {
        const took = await page.evaluate(() => {
          const [entry] = performance.getEntriesByType("navigation");
          return performance.getEntriesByName("sundog-shown")[0].startTime - entry.responseStart;
        });
        assert.equal(await page.evaluate("sundogTimeline.data.tasks.count"), 10000);
        assert.ok(took < SHOWN_MS_MAX, `${took} ms`);
      });

      it(`is painted in less than ${PAINT_MS_MAX} ms at any zoom`, async () => {
        const times = await page.evaluate(() => {
          const view = sundogTimeline;
          view.showArrows(true);
          const middle = (view.range.begin + view.range.end) / 2;
          const measured = [];
          for (let step = 0; step < 30; ++step) {
            view.paint();
            measured.push(view.paint().ms);
            view.zoom(0.75, middle);
          }
          view.fit();
          view.paint();
          return measured.sort((a, b) => a - b);
        });
        const median = times[Math.floor(times.length / 2)];
        assert.ok(median < PAINT_MS_MAX, `median ${median} ms of ${times}`);
        assert.ok(times[Math.floor(times.length * 0.9)] < 2 * PAINT_MS_MAX, `nine of ten: ${times}`);
        console.log(`  ${name}: painting 10,000 tasks takes ${median.toFixed(1)} ms, at most ${times.at(-1).toFixed(1)} ms`);
        await shoot("large");
      });

      it("finds one task among them under the pointer", async () => {
        await page.evaluate(() => {
          sundogTimeline.showArrows(false);
          sundogTimeline.zoomTo(7000);
        });
        await drawn(page);
        const place = await placeOf(page, 7000);
        await page.mouse.click(place.x, place.y);
        assert.equal(await page.evaluate("sundogTimeline.scene.selected"), 7000);
        await shoot("close");
      });
    });

    describe("of names that try to be markup", () => {
      before(see("hostile.html"));
      after(done);

      it("shows them as text and runs nothing", async () => {
        const names = await page.evaluate("sundogTimeline.data.tasks.kinds");
        assert.ok(names.includes("</script><script>window.hacked = 1</script>"), String(names));
        for (let task = 0; task < names.length; ++task) {
          await page.evaluate((i) => sundogTimeline.show(i), task);
          const place = await placeOf(page, task);
          await page.mouse.move(place.x, place.y);
          await drawn(page);
          assert.ok(names.includes(await page.$eval(".st-card h3", (e) => e.textContent)));
        }
        assert.equal(await page.evaluate("window.hacked"), undefined);
        assert.equal(await page.$$eval(".sundog-timeline img, .sundog-timeline b *", (all) => all.length), 0);
      });

      it("marks the task that failed", async () => {
        assert.match(await page.$eval(".st-sum", (e) => e.textContent), /· 1 not finished well ·/);
        const failed = await page.evaluate(() => sundogTimeline.data.tasks.outcome.indexOf(1));
        await page.evaluate((i) => sundogTimeline.show(i), failed);
        assert.equal(await page.$eval(".st-card dd.st-bad", (e) => e.textContent), "failed");
        await shoot("failed");
      });
    });

    describe("in a file that the program wrote again", () => {
      after(done);

      it("reads the new tasks at Refresh, and says when there are none", async () => {
        const now = path.join(pages, "now.html");
        copyFileSync(path.join(pages, "again.html"), now);
        page = await open(browser, "now.html");
        assert.equal(await page.evaluate("sundogTimeline.data.tasks.count"), 3);
        copyFileSync(path.join(pages, "again-later.html"), now);
        const refresh = () => page.evaluate(() => [...document.querySelectorAll("button")].find((b) => b.textContent === "Refresh").click());
        await Promise.all([page.waitForNavigation(), refresh()]);
        await page.waitForSelector("html[data-ready]");
        assert.equal(await page.evaluate("sundogTimeline.data.tasks.count"), 7);
        await Promise.all([page.waitForNavigation(), refresh()]);
        await page.waitForSelector("html[data-ready]");
        await refresh();
        assert.match(await page.$eval(".st-note[role]", (e) => (e.hidden ? "" : e.textContent)), /no newer tasks/);
      });
    });

    describe("in a notebook's frame", () => {
      let frame;
      before(async () => {
        page = await browser.newPage();
        page.errors = [];
        await page.setViewport({ width: 1000, height: 700 });
        await page.goto(`file://${pages}/inline.html`);
        const element = await page.waitForSelector("iframe");
        frame = await element.contentFrame();
        await frame.waitForSelector("html[data-ready]");
        await drawn(frame);
      });
      after(done);
      const span = async () => {
        const { begin, end } = await frame.evaluate("sundogTimeline.range");
        return end - begin;
      };

      it("shows the tree", async () => {
        assert.equal(await frame.evaluate("sundogTimeline.data.tasks.count"), 15);
        await shoot("inline");
      });

      it("leaves the bare wheel to the page until it has the focus", async () => {
        const whole = await span();
        await page.mouse.move(500, 250);
        await page.mouse.wheel({ deltaY: 120 });
        await page.waitForFunction("window.scrollY > 0");
        assert.equal(await span(), whole);
        await page.evaluate("window.scrollTo(0, 0)");
        await page.keyboard.down("Alt");
        await page.mouse.wheel({ deltaY: -240 });
        await page.keyboard.up("Alt");
        await frame.waitForFunction((before) => sundogTimeline.range.end - sundogTimeline.range.begin < before * 0.8, {}, whole);
      });

      it("says what to do for new tasks where it cannot ask the kernel", async () => {
        await frame.evaluate(() => [...document.querySelectorAll("button")].find((b) => b.textContent === "Refresh").click());
        assert.equal(await frame.$eval(".st-note[role]", (e) => (e.hidden ? "" : e.textContent)), "Run the cell again.");
      });
    });
  });
}
