// Reads what to measure, a line each: {url, slowdown: how much slower than this machine its reader's phone is, categories}.
// Answers each with a line: Lighthouse's scores on its mobile setting, what makes up that of speed, and what else costs points.
import { createInterface } from "node:readline";
import { launch } from "chrome-launcher";
import lighthouse, { defaultConfig } from "lighthouse";

const [chromePath, ...chromeFlags] = process.argv.slice(2);
const chrome = await launch({ chromePath, chromeFlags: ["--headless", ...chromeFlags] });
// Nothing is measured by waiting longer for a page from this very machine, by a picture of it, or by advice without points.
const settings = {
  skipAudits: Object.values(defaultConfig.categories).flatMap(({ auditRefs }) => auditRefs.filter(({ weight }) => !weight).map(({ id }) => id)),
  networkQuietThresholdMs: 500, cpuQuietThresholdMs: 500, pauseAfterFcpMs: 0, pauseAfterLoadMs: 0, disableFullPageScreenshot: true,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { url, slowdown, categories } = JSON.parse(line);
  const throttling = { cpuSlowdownMultiplier: slowdown };
  const config = { extends: "lighthouse:default", settings: { ...settings, onlyCategories: categories, throttling } };
  const { lhr } = await lighthouse(url, { port: chrome.port, logLevel: "silent" }, config);
  const scores = {}, speed = {}, lost = [];
  for (const { id, score, auditRefs } of Object.values(lhr.categories)) {
    for (const { id: name, weight } of auditRefs) {
      const { score: reached, displayValue: shown = "", details } = lhr.audits[name];
      if (id === "performance") {
        speed[name] = { weight, score: reached ?? 0, shown };
      } else if (weight && reached !== null && reached < 1) {
        const places = (details?.items ?? []).slice(0, 3).map(({ node }) => node?.snippet).filter(Boolean);
        lost.push([id, name, shown, ...places].join(" "));
      }
    }
    if (id !== "performance") scores[id] = score === null ? 0 : Math.round(100 * score);
  }
  process.stdout.write(JSON.stringify({ scores, speed, lost, error: lhr.runtimeError?.message, index: lhr.environment.benchmarkIndex }) + "\n");
}
await chrome.kill();
