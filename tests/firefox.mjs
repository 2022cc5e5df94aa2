// Opens pages in Firefox: node firefox.mjs EXECUTABLE SCRIPT, their addresses on standard input, one a line.
// Answers with JSON: for each page what the script returned there, which is what is wrong with it, and what Firefox complained of.
import { readFileSync } from "node:fs";
import puppeteer from "puppeteer-core";

const [executablePath, script] = process.argv.slice(2);
const firefox = await puppeteer.launch({ browser: "firefox", executablePath, headless: true, timeout: 120_000, protocolTimeout: 120_000 });
const found = {};
for (const address of readFileSync(0, "utf8").trim().split("\n")) {
  const page = await firefox.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  page.on("console", (message) => message.type() === "error" && complaints.push(`console: ${message.text()}`));
  await page.goto(address);
  found[address] = [...(await page.evaluate(`(${readFileSync(script, "utf8")})()`)), ...complaints];
  await page.close();
}
await firefox.close();
process.stdout.write(JSON.stringify(found));
