// Asks a search worker of the site: node search.mjs WORKER INDEX, the questions on standard input, one a line.
// Answers with JSON: of each question where its results lead, the best first.
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";

const [worker, index] = process.argv.slice(2);
let listen;
let answer;
const scope = { console, setTimeout, addEventListener: (_, heard) => (listen = heard), postMessage: (message) => (answer = message) };
scope.self = scope;
runInContext(readFileSync(worker, "utf8"), createContext(scope));

async function say(message) {
  answer = undefined;
  listen({ data: message });
  while (answer === undefined) await new Promise((done) => setTimeout(done));
  return answer.data;
}

await say({ type: 0, data: { ...JSON.parse(readFileSync(index, "utf8")), options: { suggest: false } } });
const found = [];
for (const question of readFileSync(0, "utf8").trim().split("\n")) {
  const { items } = await say({ type: 2, data: question });
  found.push(items.map(([best]) => best.location));
}
process.stdout.write(JSON.stringify(found));
