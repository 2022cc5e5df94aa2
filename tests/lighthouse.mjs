// Reads one address a line, and how much slower than this machine its reader's phone is; answers each with a line: Lighthouse's scores on its mobile setting, and what costs points.
import { createInterface } from "node:readline";
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";

const [chromePath, ...chromeFlags] = process.argv.slice(2);
const chrome = await launch({ chromePath, chromeFlags: ["--headless", ...chromeFlags] });
// Nothing is measured by waiting longer for a page from this very machine, or by a picture of it.
const settings = {
  onlyCategories: ["performance", "accessibility", "best-practices", "seo"],
  networkQuietThresholdMs: 500, cpuQuietThresholdMs: 500, pauseAfterFcpMs: 0, pauseAfterLoadMs: 0, disableFullPageScreenshot: true,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [address, slowdown] = line.split(" ");
  const throttling = { cpuSlowdownMultiplier: Number(slowdown) };
  const config = { extends: "lighthouse:default", settings: { ...settings, throttling } };
  const { lhr } = await lighthouse(address, { port: chrome.port, logLevel: "silent" }, config);
  const scores = {}, lost = [];
  for (const { id, score, auditRefs } of Object.values(lhr.categories)) {
    scores[id] = score === null ? 0 : Math.round(100 * score);
    for (const { id: name, weight } of auditRefs) {
      const audit = lhr.audits[name];
      if (weight && audit.score !== null && audit.score < 1) {
        const places = (audit.details?.items ?? []).slice(0, 3).map(({ node }) => node?.snippet).filter(Boolean);
        lost.push([id, name, audit.displayValue ?? "", ...places].join(" "));
      }
    }
  }
  process.stdout.write(JSON.stringify({ scores, lost, error: lhr.runtimeError?.message, index: lhr.environment.benchmarkIndex }) + "\n");
}
await chrome.kill();
